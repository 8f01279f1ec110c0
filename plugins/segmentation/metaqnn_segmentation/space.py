"""Residual U-Nets in nine choices (after Baldeon Calisto and Lai-Yuen 2019), for images and for volumes.

A design is one line, `levels=3 filters=8 first=3 second=3 third=1 activation=relu dropout=0.0 merge=sum
learning_rate=0.003`. The encoder has `levels` resolutions, of which each halves the one before and has twice its
filters. A block is three convolutions with the kernels `first`, `second` and `third`, and what it reads is added to
them. The decoder goes back, and merges what the encoder had at the same resolution by sum or concatenation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import gcd, prod
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.errors import NotationError
from metaqnn_trainer.contract.messages import ModelOptions, Recipe
from metaqnn_trainer.spaces.base import Cost, Follows, Part, Space, fact

AXES: Final = ("depth", "height", "width")

Counts = Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1)]
Kernels = Annotated[tuple[Literal[1, 3, 5, 7], ...], Field(min_length=1)]
Shares = Annotated[tuple[Annotated[float, Field(ge=0, lt=1)], ...], Field(min_length=1)]
Shape = Annotated[tuple[Annotated[int, Field(ge=2, le=4096)], ...], Field(min_length=2, max_length=3)]


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
    activation: tuple[Literal["relu", "elu", "leaky_relu"], ...] = Field(("relu", "elu", "leaky_relu"), min_length=1)
    dropout: Shares = Field((0.0, 0.1, 0.3), description="Share of the maps that a block leaves out in training.")
    merge: tuple[Literal["sum", "concat"], ...] = Field(("sum", "concat"), min_length=1, description="Of both halves.")
    learning_rate: tuple[Annotated[float, Field(gt=0, le=10)], ...] = Field((0.001, 0.003, 0.01), min_length=1)


def _shape(info: DatasetInfo, said: Sequence[int] | None) -> Sequence[int] | None:
    """The edges of the dataset's cases; two edges also fit volumes, whose slices they are."""
    edges = [int(info.facts[axis]) for axis in AXES if axis in info.facts]
    return edges[-len(said or edges) :] or None


class ResidualUNets(Space):
    """A move is the text of a choice, `name=value`; a state is the tuple of those so far."""

    Options = UNetOptions
    follows: ClassVar[Follows] = {"shape": _shape, **{name: fact(name) for name in ("channels", "classes")}}

    def __init__(self, options: UNetOptions, model: ModelOptions) -> None:
        super().__init__(options, model)
        self.dimensions = len(options.shape)
        values = options.model_dump(exclude={"family", "shape", "channels", "classes"})
        # Every edge can be halved between two levels, and two voxels are left of it: instance normalisation needs them.
        common, least = gcd(*options.shape), min(options.shape)
        values["levels"] = [each for each in options.levels if common % 2 ** (each - 1) == 0 and least >= 2**each]
        if not values["levels"]:
            raise ValueError(f"levels: no value of {list(options.levels)} fits the shape {list(options.shape)}")
        self._choices = {name: {f"{name}={value}": value for value in some} for name, some in values.items()}

    @property
    def start(self) -> tuple[str, ...]:
        return ()

    def legal(self, state: tuple[str, ...]) -> Sequence[str]:
        return tuple([*self._choices.values()][len(state)])

    def step(self, state: tuple[str, ...], move: str) -> tuple[str, ...] | None:
        return (*state, move) if len(state) + 1 < len(self._choices) else None

    def text(self, moves: Sequence[str]) -> str:
        return " ".join(moves)

    def parse(self, text: str) -> list[str]:
        return text.split()

    def net_of(self, design: str) -> dict[str, Any]:
        """The values that a whole design chooses, by the names of the options.

        Raises:
            NotationError: it is not whole, or chooses what is none of this space.
        """
        words, found = self.parse(design), dict[str, Any]()
        if len(words) != len(self._choices):
            raise NotationError(f"a whole design has {len(self._choices)} choices, not {len(words)}", 1)
        for word, (name, choices) in zip(words, self._choices.items(), strict=True):
            if word not in choices:
                raise NotationError(f"{word[:40]!r} is none of {', '.join(choices)}", 1)
            found[name] = choices[word]
        return found

    def describe(self, design: str) -> list[Part]:
        net = self.net_of(design)
        widths = [net["filters"] << level for level in range(net["levels"])]
        parts = list[Part]()
        for level, (before, width) in enumerate(pairwise([self.options.channels, *widths])):
            parts.append(self._part(f"encoder {level + 1}", level, width, self._block(net, level, before, width)))
        for level, width in reversed([*enumerate(widths[:-1])]):
            # Each voxel below becomes one corner of the two along each axis above.
            weights = 2 * width * width * 2**self.dimensions
            up = Cost(weights + width, weights * prod(self._edges(level + 1)))
            merged = self._block(net, level, width * (2 if net["merge"] == "concat" else 1), width)
            parts.append(self._part(f"decoder {level + 1}", level, width, up + merged))
        weights, classes = net["filters"] * self.options.classes, self.options.classes
        head = Cost(weights + classes, weights * prod(self.options.shape))
        return [*parts, self._part("classes", 0, classes, head)]

    def _edges(self, level: int) -> tuple[int, ...]:
        return tuple(edge >> level for edge in self.options.shape)

    def _block(self, net: dict[str, Any], level: int, before: int, width: int) -> Cost:
        """Three convolutions with normalisation, and one of one voxel on the way past them where the width changes."""
        edges = zip((before, width, width), (net["first"], net["second"], net["third"]), strict=True)
        past = before * width if before != width else 0
        weights = past + sum(inputs * width * kernel**self.dimensions for inputs, kernel in edges)
        beside = 3 * 2 * width + (width if past else 0)  # scale and shift; and a bias, which the three need not have
        return Cost(weights + beside, weights * prod(self._edges(level)))

    def _part(self, name: str, level: int, width: int, cost: Cost) -> Part:
        shape = (width, *self._edges(level))
        return Part(name, "x".join(map(str, shape)), cost, shape)

    def recipe(self, design: str, recipe: Recipe) -> Recipe:
        return recipe.changed({"learning_rate": self.net_of(design)["learning_rate"]})
