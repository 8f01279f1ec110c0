"""What a layer kind has to say of itself, so that nothing else needs to know which kinds there are.

A kind is a subclass of Layer, in a module of its own below layers/ or in an installed distribution, and a builder,
which alone knows torch. An instance is one layer: a frozen dataclass whose fields are the numbers of its text, each
a whole number of at least 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
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
    """What a table of values tells apart: the paper's state tuple. Zero where a field has no meaning."""

    kind: str  # start, or the name of the layer just chosen: C, P, FC, …
    depth: int  # layers so far
    filters: int
    kernel: int
    stride: int
    size: int  # the bucket of the representation size
    units: int
    fc_layers: int  # fully connected layers so far, where their number is limited
    further: str = ""  # numbers of the layer for which no field above has a name

    def __str__(self) -> str:
        return f"{self.kind}({','.join(map(str, self[1:8]))})" + (f"+{self.further}" if self.further else "")


class Place(NamedTuple):
    """Where a layer is to stand. What a layer says of it may not depend on the filters, kernel, stride and further
    numbers of `key`: they may be left out."""

    before: type[Layer] | None
    """The kind of the layer before; none at the start."""
    key: StateKey
    shape: Shape
    rules: SpaceRules
    model: ModelOptions

    def field_objection(self, kernel: int) -> str | None:
        """Why a receptive field may not look at the representation: the kernel limit of the space."""
        if self.rules.kernel_limit == "below_bucket" and kernel >= self.key.size:
            return (
                f"the kernel size must be smaller than {self.key.size}, the lower bound of the bucket of size "
                f"{self.shape.size}"
            )
        if kernel > self.shape.size:
            return f"the kernel size must not be larger than the image, {self.shape.size}"
        return None

    def pooling_objection(self, kernel: int) -> str | None:
        """Why a pooling layer with this receptive field may not stand here."""
        if self.before is None:
            return "a net does not begin with pooling"
        if self.before.pools:
            return "pooling may not follow pooling"
        return self.field_objection(kernel)

    def own(self, kind: type[Layer]) -> Any:
        """What the space says of a kind."""
        return self.rules.of(kind)


def field_label(kernel: int, stride: int) -> str:
    """How a receptive field and its stride are written below a block of a drawing."""
    return f"{kernel}×{kernel}" + (f" /{stride}" if stride > 1 else "")


class Layer(ABC):
    """One layer. What has no default here every kind has to say; a test walks all kinds and names what is missing."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()  # the numbers of the text, in order: a dataclass sets it

    name: ClassVar[str]
    """Of the kind, in the text of a net: capital letters. `C` of `C(64,3,1)`."""
    words: ClassVar[str]
    """The kind's name for people."""
    order: ClassVar[int] = 100
    """Where the kind stands among others: moves are offered so. Kinds of the same order stand by their names."""

    section: ClassVar[str] = ""
    """What the settings' section below `space` is called; empty: the space says nothing of the kind."""
    rules: ClassVar[Any] = None
    """The section's default, an instance of the kind's rules: a frozen dataclass that checks itself."""

    ends: ClassVar[bool] = False
    """A termination: it completes a net, and `space.terminations` says whether it may."""
    scores: ClassVar[bool] = False
    """What leaves it already is one number for each class."""
    pixels: ClassVar[bool] = True
    """It works on pixels, so that it cannot follow a layer that has none."""
    activated: ClassVar[bool] = False
    """It ends in an activation function, whose backward pass needs what it gives."""
    convolves: ClassVar[bool] = False
    pools: ClassVar[bool] = False
    dropout: ClassVar[Literal["every_second", "each", "none"]] = "every_second"
    """Which layers of the kind dropout follows, where the recipe has the paper's."""
    joins: ClassVar[bool] = False
    """Dropout counts it as a part of the layer before it, and stands behind both."""

    colour: ClassVar[Colour]
    """In which it is drawn."""
    paper: ClassVar[bool] = False
    """One of the paper's: every space says something of it, and the table's estimator knows it by its numbers. Of any
    other kind it counts how many a net has."""
    builder: ClassVar[str]
    """`package.module:function` of what makes torch modules of it (see modules/base.py)."""

    def __str__(self) -> str:
        return f"{self.name}({','.join([str(getattr(self, name)) for name in self.__match_args__])})"

    @abstractmethod
    def output(self, shape: Shape) -> Shape:
        """The representation after it.

        Raises:
            ShapeError: it does not fit.
        """

    @abstractmethod
    def cost(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> Cost:
        """Parameters and multiply-accumulates of it applied to `shape`; `before` is the kind in front of it."""

    @abstractmethod
    def kept(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> int:
        """Numbers that it keeps of an image until its backward pass, at least. Activation functions work in place."""

    @property
    @abstractmethod
    def label(self) -> tuple[str, str]:
        """Name and detail below its block in a drawing."""

    @classmethod
    @abstractmethod
    def choices(cls, rules: Any, size: int, classes: int) -> Iterable[Layer]:
        """The layers that a space offers on representations of this size, in order; `rules` are the kind's own."""

    @abstractmethod
    def objection(self, place: Place) -> str | None:
        """Why it may not stand there, whatever the space offers; None where it may. The space itself sees to its
        depth, to its terminations, and that nothing that works on pixels stands where there are none."""

    @classmethod
    def in_words(cls, rules: Any) -> str:
        """What the space offers of the kind, for people; empty where it is nothing worth a line."""
        return ""

    def backward(self, shape: Shape) -> int:
        """The most numbers of an image's gradients at its input that it has at once."""
        return shape.features

    def forward(self, shape: Shape, model: ModelOptions) -> int:
        """The most numbers of an image that it has at once while evaluating, input and output among them."""
        out = self.output(shape).features
        return out + max(shape.features, out if model.batch_norm else 0)

    @property
    def convolutions(self) -> tuple[tuple[int, int], ...]:
        """Filters and receptive field of each convolution in it, by which the table's estimator knows it."""
        return ()

    @property
    def tail(self) -> Net:
        """The layers that a termination stands for beside itself."""
        return ()

    def keyed(self, before: StateKey, rules: Any) -> dict[str, int]:
        """The numbers by which the state after it is told apart, after a state with the key `before`; `rules` are the
        kind's own."""
        return {name: getattr(self, name) for name in self.__match_args__}

    def refuses(self, following: Layer) -> str | None:
        """Why no net, in any space, has `following` behind it; None where one may."""
        if following.pixels and not self.pixels:
            return f"{following} cannot follow a {self.words} layer"
        return None

    def for_classes(self, classes: int) -> Layer:
        """The same for another number of classes."""
        return self


Net = tuple[Layer, ...]


class LayerReport(NamedTuple):
    """One line of a described net."""

    layer: Layer
    output: Shape
    cost: Cost


def describe(net: Sequence[Layer], shape: Shape, model: ModelOptions | None = None) -> list[LayerReport]:
    """Each layer of `net` with the shape it leaves and what it costs, for images of `shape`.

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
