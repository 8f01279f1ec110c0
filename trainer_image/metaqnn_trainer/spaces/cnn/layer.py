"""The interface of a layer kind. No other code needs to know which kinds exist.

A kind is a subclass of Layer, in a module of its own below layers/ or in an installed distribution, and a builder,
which alone imports torch. An instance is one layer: a frozen dataclass whose fields are the numbers of its text, each
a whole number of at least 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import Cost

if TYPE_CHECKING:
    from metaqnn_trainer.spaces.cnn.rules import SpaceRules

Colour = Literal["conv", "pool", "dense", "average", "softmax", "soft"]
"""A role of the report's palette."""


class Shape(NamedTuple):
    """A square representation: `channels` maps of `size` x `size`. After a fully connected layer `size` is 1."""

    channels: int
    size: int

    @property
    def features(self) -> int:
        """Numbers in one representation, flattened."""
        return self.channels * self.size * self.size

    def __str__(self) -> str:
        return f"{self.channels}x{self.size}x{self.size}"


class StateKey(NamedTuple):
    """The key of a state in a table of values: the paper's state tuple. A field is zero where it has no meaning."""

    kind: str  # start, or the name of the last layer: C, P, FC, …
    depth: int  # number of layers so far
    filters: int
    kernel: int
    stride: int
    size: int  # the bucket of the representation's size
    units: int
    fc_layers: int  # number of fully connected layers so far, where it is limited
    further: str = ""  # numbers of the layer that have no field above

    def __str__(self) -> str:
        return f"{self.kind}({','.join(map(str, self[1:8]))})" + (f"+{self.further}" if self.further else "")


class Place(NamedTuple):
    """A place for a layer in a net. A layer's answers must not depend on the filters, kernel, stride and further
    numbers of `key`: they may be left out.
    """

    before: type[Layer] | None
    """The kind of the layer before; none at the start."""
    key: StateKey
    shape: Shape
    rules: SpaceRules
    model: ModelOptions

    def field_objection(self, kernel: int) -> str | None:
        """Why a receptive field may not be applied to the representation: the kernel limit of the space. None where it
        may.
        """
        if self.rules.kernel_limit == "below_bucket" and kernel >= self.key.size:
            return (
                f"the kernel size must be smaller than {self.key.size}, the lower bound of the bucket of size "
                f"{self.shape.size}"
            )
        if kernel > self.shape.size:
            return f"the kernel size must not be larger than the image, {self.shape.size}"
        return None

    def pooling_objection(self, kernel: int) -> str | None:
        """Why a pooling layer with this receptive field may not stand here; None where it may."""
        if self.before is None:
            return "a net does not begin with pooling"
        if self.before.pools:
            return "pooling may not follow pooling"
        return self.field_objection(kernel)

    def own(self, kind: type[Layer]) -> Any:
        """The space's rules for a kind."""
        return self.rules.of(kind)


def field_label(kernel: int, stride: int) -> str:
    """The text for a receptive field and its stride below a block of a drawing."""
    return f"{kernel}×{kernel}" + (f" /{stride}" if stride > 1 else "")


class Layer(ABC):
    """One layer. Every kind must define the attributes without a default; a test checks all kinds and names what is
    missing.
    """

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()  # the numbers of the text, in order: a dataclass sets it

    name: ClassVar[str]
    """Name of the kind in the text of a net, in capital letters: `C` of `C(64,3,1)`."""
    words: ClassVar[str]
    """The kind's name for people."""
    order: ClassVar[int] = 100
    """Rank of the kind in the order in which moves are offered. Kinds of the same rank are ordered by their names."""

    section: ClassVar[str] = ""
    """Name of the kind's section in the settings' section `space`; empty: the kind has no settings."""
    rules: ClassVar[Any] = None
    """The section's default, an instance of the kind's rules: a frozen dataclass that checks itself."""

    ends: ClassVar[bool] = False
    """Whether the kind is a termination: it completes a net, and `space.terminations` says whether it is allowed."""
    scores: ClassVar[bool] = False
    """Whether its output already is one number for each class."""
    pixels: ClassVar[bool] = True
    """Whether it works on pixels, so that it cannot follow a layer without pixels."""
    activated: ClassVar[bool] = False
    """Whether it ends in an activation function, whose backward pass needs the layer's output."""
    convolves: ClassVar[bool] = False
    pools: ClassVar[bool] = False
    dropout: ClassVar[Literal["every_second", "each", "none"]] = "every_second"
    """The layers of the kind after which dropout is placed, where the recipe has the paper's dropout."""
    joins: ClassVar[bool] = False
    """Whether dropout counts it as a part of the layer before it, and is placed after both."""

    colour: ClassVar[Colour]
    """The kind's colour in a drawing."""
    paper: ClassVar[bool] = False
    """Whether it is one of the paper's kinds: every space has rules for it, and the table's estimator uses its numbers.
    For other kinds the estimator only counts the layers of a net.
    """
    builder: ClassVar[str]
    """`package.module:function` of the function that builds its torch modules (see modules/base.py)."""

    def __str__(self) -> str:
        return _text(self)

    @abstractmethod
    def output(self, shape: Shape) -> Shape:
        """The representation after the layer.

        Raises:
            ShapeError: it does not fit.
        """

    @abstractmethod
    def cost(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> Cost:
        """Parameters and multiply-accumulates of the layer on `shape`; `before` is the kind of the layer before it."""

    @abstractmethod
    def kept(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> int:
        """Numbers that the layer keeps for one image until its backward pass, at least. Activation functions work in
        place.
        """

    @property
    @abstractmethod
    def label(self) -> tuple[str, str]:
        """Name and detail of the layer below its block in a drawing."""

    @classmethod
    @abstractmethod
    def choices(cls, rules: Any, size: int, classes: int) -> Iterable[Layer]:
        """The layers of the kind that a space offers on representations of this size, in order; `rules` are the kind's
        own.
        """

    @abstractmethod
    def objection(self, place: Place) -> str | None:
        """Why the layer may not stand at this place, whatever the space offers; None where it may. The space itself
        checks its depth, its terminations, and that no layer that works on pixels stands where there are none.
        """

    @classmethod
    def in_words(cls, rules: Any) -> str:
        """The kind's rules in a space, in words; empty where they are not worth a line."""
        return ""

    def backward(self, shape: Shape) -> int:
        """The largest number of gradient values at its input that exist at the same time, for one image."""
        return shape.features

    def forward(self, shape: Shape, model: ModelOptions) -> int:
        """The largest number of values that exist at the same time in evaluation, for one image, including input and
        output.
        """
        out = self.output(shape).features
        return out + max(shape.features, out if model.batch_norm else 0)

    @property
    def convolutions(self) -> tuple[tuple[int, int], ...]:
        """Filters and receptive field of each of its convolutions, which the table's estimator uses."""
        return ()

    @property
    def tail(self) -> Net:
        """The layers that a termination implies after itself."""
        return ()

    def keyed(self, before: StateKey, rules: Any) -> dict[str, int]:
        """The numbers that distinguish the state after the layer, where the state before has the key `before`; `rules`
        are the kind's own.
        """
        return {name: getattr(self, name) for name in self.__match_args__}

    def refuses(self, following: Layer) -> str | None:
        """Why no net, in any space, may have `following` after this layer; None where one may."""
        if following.pixels and not self.pixels:
            return f"{following} cannot follow a {self.words} layer"
        return None

    def for_classes(self, classes: int) -> Layer:
        """The same layer for another number of classes."""
        return self


@lru_cache(maxsize=10_000)
def _text(layer: Layer) -> str:
    """Kept, because a search writes the same layers again and again."""
    return f"{layer.name}({','.join([str(getattr(layer, name)) for name in layer.__match_args__])})"


Net = tuple[Layer, ...]


class LayerReport(NamedTuple):
    """One line of a described net."""

    layer: Layer
    output: Shape
    cost: Cost


def describe(net: Sequence[Layer], shape: Shape, model: ModelOptions | None = None) -> list[LayerReport]:
    """Each layer of `net` with its output shape and its cost, for images of `shape`.

    Raises:
        ShapeError: a layer does not fit; the text names it.
    """
    model = model or ModelOptions()
    reports: list[LayerReport] = []
    before: type[Layer] | None = None
    for layer in net:
        cost = layer.cost(shape, model, before)
        shape, before = layer.output(shape), type(layer)
        reports.append(LayerReport(layer, shape, cost))
    return reports


def total_cost(reports: Iterable[LayerReport]) -> Cost:
    """The cost of a whole described net."""
    return sum((report.cost for report in reports), Cost(0, 0))
