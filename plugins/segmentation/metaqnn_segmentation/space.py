"""Residual U-Nets in nine choices (after Baldeon Calisto and Lai-Yuen 2019), for images and for volumes.

A design is one line, `levels=3 filters=8 first=3 second=3 third=1 activation=relu dropout=0 merge=sum
learning_rate=0.003`. The encoder has `levels` resolutions, of which each halves the one before and has twice its
filters. A block is three convolutions with the kernels `first`, `second` and `third`, and what it reads is added to
them. The decoder goes back, and merges what the encoder had at the same resolution by sum or concatenation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.errors import NotationError, ShapeError
from metaqnn_trainer.contract.messages import ModelOptions, Recipe
from metaqnn_trainer.spaces.base import Cost, Part, Space

Activation = Literal["relu", "elu", "leaky_relu"]
Merge = Literal["sum", "concat"]

CHOICE: Final = re.compile(r"(?P<name>[a-z_]{1,20})=(?P<value>[a-z0-9_.+-]{1,30})")
KERNELS: Final = ("first", "second", "third")
SMALLEST: Final = 2  # voxels of the lowest resolution along an edge: instance normalisation needs more than one
AXES: Final = ("depth", "height", "width")

Values = Annotated[tuple[int, ...], Field(min_length=1, max_length=20)]
Shares = Annotated[tuple[Annotated[float, Field(ge=0, lt=1)], ...], Field(min_length=1, max_length=20)]
Rates = Annotated[tuple[Annotated[float, Field(gt=0, le=10)], ...], Field(min_length=1, max_length=20)]


class UNetOptions(BaseModel):
    """What the data are, and the values of the nine choices."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    shape: tuple[int, ...] = Field((64, 64), description="Height and width; of volumes the depth, too, first.")
    channels: int = Field(1, ge=1, le=64, description="Channels of an image.")
    classes: int = Field(2, ge=2, le=256, description="Classes of a voxel, with the background.")
    levels: Values = Field((2, 3, 4), description="Resolutions.")
    filters: Values = Field((4, 8, 16), description="Filters at the full resolution.")
    first: Values = Field((1, 3, 5), description="Edge of the first kernel of a block.")
    second: Values = Field((1, 3, 5), description="Edge of the second kernel of a block.")
    third: Values = Field((1, 3, 5), description="Edge of the third kernel of a block.")
    activation: tuple[Activation, ...] = Field(get_args(Activation), min_length=1, description="Activation.")
    dropout: Shares = Field((0.0, 0.1, 0.3), description="Share of the maps that a block leaves out in training.")
    merge: tuple[Merge, ...] = Field(get_args(Merge), min_length=1, description="How encoder and decoder are merged.")
    learning_rate: Rates = Field((0.001, 0.003, 0.01), description="Learning rate at the start.")

    @field_validator("shape")
    @classmethod
    def _plane_or_volume(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) not in (2, 3) or not all(SMALLEST <= edge <= 4096 for edge in shape):
            raise ValueError(f"shape has two or three edges of {SMALLEST} to 4096, got {list(shape)}")
        return shape

    @field_validator(*KERNELS)
    @classmethod
    def _odd(cls, kernels: tuple[int, ...]) -> tuple[int, ...]:
        if not all(kernel % 2 and 1 <= kernel <= 15 for kernel in kernels):
            raise ValueError(f"kernels have odd edges of 1 to 15, got {list(kernels)}")
        return kernels

    @field_validator("levels", "filters")
    @classmethod
    def _bounded(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if not all(1 <= value <= 1024 for value in values):
            raise ValueError(f"levels and filters lie between 1 and 1024, got {list(values)}")
        return values

    @field_validator(*KERNELS, "levels", "filters", "activation", "dropout", "merge", "learning_rate")
    @classmethod
    def _different(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) < len(values):
            raise ValueError(f"a value is there twice: {list(values)}")
        return values


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

    @property
    def kernels(self) -> tuple[int, int, int]:
        return self.first, self.second, self.third

    def width(self, level: int) -> int:
        """Filters at a level; 0 is the full resolution."""
        return self.filters << level


Choice = str
"""A move: `name=value`."""
State = tuple[Choice, ...]
"""What was chosen so far."""


class ResidualUNets(Space):
    Options = UNetOptions

    def __init__(self, options: UNetOptions, model: ModelOptions) -> None:
        super().__init__(options, model)
        self._choices = {name: self._written(name) for name in UNet._fields}
        if not self._choices["levels"]:
            raise ValueError(f"levels: no value of {list(options.levels)} fits the shape {list(options.shape)}")

    def _written(self, name: str) -> tuple[Choice, ...]:
        values = getattr(self.options, name)
        if name == "levels":
            values = [levels for levels in values if self.fits(levels)]
        return tuple(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for value in values)

    def fits(self, levels: int) -> bool:
        """Whether every edge can be halved so often, and enough of it is left."""
        halved = 2 ** (levels - 1)
        return all(edge % halved == 0 and edge // halved >= SMALLEST for edge in self.options.shape)

    @property
    def start(self) -> State:
        return ()

    def legal(self, state: State) -> Sequence[Choice]:
        return self._choices[UNet._fields[len(state)]]

    def step(self, state: State, move: Choice) -> State | None:
        chosen = (*state, move)
        return chosen if len(chosen) < len(UNet._fields) else None

    def key(self, state: State) -> str:
        """The place and the choice before it."""
        return f"{len(state)} after {state[-1] if state else 'nothing'}"

    def text(self, moves: Sequence[Choice]) -> str:
        return " ".join(moves)

    def parse(self, text: str) -> list[Choice]:
        words = text.split()
        for word, name in zip(words, UNet._fields, strict=False):
            found = CHOICE.fullmatch(word)
            if found is None or found["name"] != name:
                raise NotationError(f"{word[:40]!r} stands where {name}= should be", 1)
        if len(words) > len(UNet._fields):
            raise NotationError(f"{words[len(UNet._fields)][:40]!r} follows after the last choice", 1)
        return words

    def net_of(self, design: str) -> UNet:
        """The choices of a whole design.

        Raises:
            NotationError: it is not whole, or a value is none.
        """
        words = self.parse(design)
        if len(words) < len(UNet._fields):
            raise NotationError(f"{UNet._fields[len(words)]} is not chosen", 1)
        values = {name: word.partition("=")[2] for name, word in zip(UNet._fields, words, strict=True)}
        readable = {key: value if key in ("activation", "merge") else _number(value) for key, value in values.items()}
        try:
            UNetOptions(shape=self.options.shape, **{key: (value,) for key, value in readable.items()})
        except ValueError as error:
            raise NotationError(f"no net has these choices: {error}", 1) from error
        return UNet(**readable)  # type: ignore[arg-type]  # the options have checked it

    def describe(self, design: str) -> list[Part]:
        net = self.net_of(design)
        if not self.fits(net.levels):
            raise ShapeError(f"does not fit the shape {list(self.options.shape)}")
        return [*self._encoder(net), *self._decoder(net)]

    def _encoder(self, net: UNet) -> Iterator[Part]:
        widths = [self.options.channels, *(net.width(level) for level in range(net.levels))]
        for level, (before, width) in enumerate(pairwise(widths)):
            yield self._part(f"encoder {level + 1}", level, width, self._block(net, level, before, width))

    def _decoder(self, net: UNet) -> Iterator[Part]:
        for level in reversed(range(net.levels - 1)):
            width, below = net.width(level), net.width(level + 1)
            # Each voxel below becomes one corner of the two along each axis above.
            weights = below * width * 2**self.dimensions
            up = Cost(weights + width, weights * self._voxels(level + 1))
            merged = 2 * width if net.merge == "concat" else width
            yield self._part(f"decoder {level + 1}", level, width, up + self._block(net, level, merged, width))
        weights = net.filters * self.options.classes
        head = Cost(weights + self.options.classes, weights * self._voxels(0))
        yield self._part("classes", 0, self.options.classes, head)

    @property
    def dimensions(self) -> int:
        return len(self.options.shape)

    def _edges(self, level: int) -> tuple[int, ...]:
        return tuple(edge // 2**level for edge in self.options.shape)

    def _voxels(self, level: int) -> int:
        return prod(self._edges(level))

    def _block(self, net: UNet, level: int, before: int, width: int) -> Cost:
        """Three convolutions with normalisation, and one of one voxel on the way past them where the width changes."""
        edges = zip((before, width, width), net.kernels, strict=True)
        weights = sum(inputs * width * kernel**self.dimensions for inputs, kernel in edges)
        past = before * width if before != width else 0
        beside = 3 * 2 * width + (width if past else 0)  # scale and shift; and a bias, which the three need not have
        return Cost(weights + past + beside, (weights + past) * self._voxels(level))

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


def _number(written: str) -> int | float:
    try:
        found = json.loads(written)
    except ValueError:
        found = None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise NotationError(f"{written!r} is no number", 1)
    return found
