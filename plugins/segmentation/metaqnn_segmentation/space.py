"""Residual U-Nets in nine choices (after Baldeon Calisto and Lai-Yuen 2019), for images and for volumes.

A design is one line, `levels=3 filters=8 first=3 second=3 third=1 activation=relu dropout=0 merge=sum
learning_rate=0.003`. The encoder has `levels` resolutions, of which each halves the one before and has twice its
filters. A block is three convolutions with the kernels `first`, `second` and `third`, and what it reads is added to
them. The decoder goes back, and merges what the encoder had at the same resolution by sum or concatenation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import prod
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.errors import NotationError, ShapeError
from metaqnn_trainer.contract.messages import ModelOptions, Recipe
from metaqnn_trainer.spaces.base import Cost, Part, Space

SMALLEST: Final = 2  # voxels of the lowest resolution along an edge: instance normalisation needs more than one
AXES: Final = ("depth", "height", "width")

Activation = Literal["relu", "elu", "leaky_relu"]
Merge = Literal["sum", "concat"]
Counts = Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1)]
Kernels = Annotated[tuple[Literal[1, 3, 5, 7], ...], Field(min_length=1)]
Shares = Annotated[tuple[Annotated[float, Field(ge=0, lt=1)], ...], Field(min_length=1)]
Rates = Annotated[tuple[Annotated[float, Field(gt=0, le=10)], ...], Field(min_length=1)]
Shape = Annotated[tuple[Annotated[int, Field(ge=SMALLEST, le=4096)], ...], Field(min_length=2, max_length=3)]


class UNetOptions(BaseModel):
    """What the data are, and the values of the nine choices."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    shape: Shape = Field((64, 64), description="Height and width; of volumes the depth, too, first.")
    channels: int = Field(1, ge=1, le=64, description="Channels of an image.")
    classes: int = Field(2, ge=2, le=256, description="Classes of a voxel, with the background.")
    levels: Counts = Field((2, 3, 4), description="Resolutions.")
    filters: Counts = Field((4, 8, 16), description="Filters at the full resolution.")
    first: Kernels = Field((1, 3, 5), description="Edge of the first kernel of a block.")
    second: Kernels = Field((1, 3, 5), description="Edge of the second kernel of a block.")
    third: Kernels = Field((1, 3, 5), description="Edge of the third kernel of a block.")
    activation: tuple[Activation, ...] = Field(("relu", "elu", "leaky_relu"), min_length=1)
    dropout: Shares = Field((0.0, 0.1, 0.3), description="Share of the maps that a block leaves out in training.")
    merge: tuple[Merge, ...] = Field(("sum", "concat"), min_length=1, description="How both halves are merged.")
    learning_rate: Rates = Field((0.001, 0.003, 0.01), description="Learning rate at the start.")


class UNet(NamedTuple):
    """The nine choices of a design."""

    levels: int
    filters: int
    first: int
    second: int
    third: int
    activation: Activation
    dropout: float
    merge: Merge
    learning_rate: float


class ResidualUNets(Space):
    """A move is the text of a choice, `name=value`; a state is the tuple of those so far."""

    Options = UNetOptions

    def __init__(self, options: UNetOptions, model: ModelOptions) -> None:
        super().__init__(options, model)
        self.dimensions = len(options.shape)
        values = {name: getattr(options, name) for name in UNet._fields}
        values["levels"] = [levels for levels in options.levels if self.fits(levels)]
        if not values["levels"]:
            raise ValueError(f"levels: no value of {list(options.levels)} fits the shape {list(options.shape)}")
        self._choices = [
            tuple(dict.fromkeys(f"{name}={each if isinstance(each, str) else json.dumps(each)}" for each in some))
            for name, some in values.items()
        ]

    def fits(self, levels: int) -> bool:
        """Whether every edge can be halved so often, and enough of it is left."""
        halved = 2 ** (levels - 1)
        return all(edge % halved == 0 and edge // halved >= SMALLEST for edge in self.options.shape)

    @property
    def start(self) -> tuple[str, ...]:
        return ()

    def legal(self, state: tuple[str, ...]) -> Sequence[str]:
        return self._choices[len(state)]

    def step(self, state: tuple[str, ...], move: str) -> tuple[str, ...] | None:
        return (*state, move) if len(state) + 1 < len(UNet._fields) else None

    def text(self, moves: Sequence[str]) -> str:
        return " ".join(moves)

    def parse(self, text: str) -> list[str]:
        words = text.split()
        for word, name in zip(words, (*UNet._fields, "nothing"), strict=False):
            if not word.startswith(f"{name}="):
                raise NotationError(f"{word[:40]!r} stands where {name}= should be", 1)
        return words

    def net_of(self, design: str) -> UNet:
        """The choices of a whole design.

        Raises:
            NotationError: it is not whole, or a value is none.
        """
        written = dict(word.split("=", 1) for word in self.parse(design))
        try:
            read = {name: json.loads(word) if word[:1].isdigit() else word for name, word in written.items()}
            values: dict[str, Any] = {name: read[name] for name in UNet._fields}
            UNetOptions(**{name: (value,) for name, value in values.items()})
        except KeyError as error:
            raise NotationError(f"{error.args[0]} is not chosen", 1) from error
        except ValueError as error:
            raise NotationError(f"no net has these choices: {error}", 1) from error
        return UNet(**values)

    def describe(self, design: str) -> list[Part]:
        net = self.net_of(design)
        if not self.fits(net.levels):
            raise ShapeError(f"does not fit the shape {list(self.options.shape)}")
        widths, parts = [net.filters << level for level in range(net.levels)], []
        for level, (before, width) in enumerate(zip([self.options.channels, *widths], widths, strict=False)):
            parts.append(self._part(f"encoder {level + 1}", level, width, self._block(net, level, before, width)))
        for level in reversed(range(net.levels - 1)):
            width = widths[level]
            # Each voxel below becomes one corner of the two along each axis above.
            weights = 2 * width * width * 2**self.dimensions
            up = Cost(weights + width, weights * prod(self._edges(level + 1)))
            merged = self._block(net, level, width * (2 if net.merge == "concat" else 1), width)
            parts.append(self._part(f"decoder {level + 1}", level, width, up + merged))
        weights, classes = net.filters * self.options.classes, self.options.classes
        head = Cost(weights + classes, weights * prod(self.options.shape))
        return [*parts, self._part("classes", 0, classes, head)]

    def _edges(self, level: int) -> tuple[int, ...]:
        return tuple(edge >> level for edge in self.options.shape)

    def _block(self, net: UNet, level: int, before: int, width: int) -> Cost:
        """Three convolutions with normalisation, and one of one voxel on the way past them where the width changes."""
        edges = zip((before, width, width), (net.first, net.second, net.third), strict=True)
        past = before * width if before != width else 0
        weights = past + sum(inputs * width * kernel**self.dimensions for inputs, kernel in edges)
        beside = 3 * 2 * width + (width if past else 0)  # scale and shift; and a bias, which the three need not have
        return Cost(weights + beside, weights * prod(self._edges(level)))

    def _part(self, name: str, level: int, width: int, cost: Cost) -> Part:
        shape = (width, *self._edges(level))
        return Part(name, "x".join(map(str, shape)), cost, shape)

    def recipe(self, design: str, recipe: Recipe) -> Recipe:
        return recipe.changed({"learning_rate": self.net_of(design).learning_rate})

    def mismatches(self, info: DatasetInfo) -> Mapping[str, tuple[object, object]]:
        """Images fit images and volumes volumes; the slices of volumes fit a shape of two edges, too."""
        edges = [info.facts[axis] for axis in AXES if axis in info.facts][-self.dimensions :]
        theirs = {"shape": edges, "channels": info.facts.get("channels"), "classes": info.facts.get("classes")}
        ours = {"shape": [*self.options.shape], "channels": self.options.channels, "classes": self.options.classes}
        return {f"space.{name}": (ours[name], value) for name, value in theirs.items() if ours[name] != value}
