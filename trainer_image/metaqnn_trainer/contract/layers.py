"""Layer kinds, and what each does to a representation: its shape, its parameters, its multiply-accumulates.

The kinds are the paper's (Table 1): convolution, max pooling, fully connected, and the two terminations,
global average pooling and softmax. Dropout is not a layer here: it is the recipe's, and follows from the net.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from metaqnn_trainer.contract.errors import ShapeError

GapHead = Literal["paper", "code"]


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


@dataclass(frozen=True, slots=True)
class Conv:
    """Convolution C(d,f,l): `filters` maps, a `kernel` x `kernel` receptive field; stride 1 keeps the size."""

    filters: int
    kernel: int
    stride: int = 1

    def __str__(self) -> str:
        return f"C({self.filters},{self.kernel},{self.stride})"


@dataclass(frozen=True, slots=True)
class Pool:
    """Max pooling P(f,l), without padding."""

    kernel: int
    stride: int

    def __str__(self) -> str:
        return f"P({self.kernel},{self.stride})"


@dataclass(frozen=True, slots=True)
class FC:
    """Fully connected layer FC(d) of `units` neurons."""

    units: int

    def __str__(self) -> str:
        return f"FC({self.units})"


@dataclass(frozen=True, slots=True)
class GAP:
    """Termination by global average pooling over one map per class, GAP(classes). A softmax follows."""

    classes: int

    def __str__(self) -> str:
        return f"GAP({self.classes})"


@dataclass(frozen=True, slots=True)
class SM:
    """Termination by a softmax over `classes`, SM(classes): a dense layer to the classes, unless GAP came before."""

    classes: int

    def __str__(self) -> str:
        return f"SM({self.classes})"


Layer = Conv | Pool | FC | GAP | SM
Net = tuple[Layer, ...]


class Cost(NamedTuple):
    """What one layer, or several, cost: trainable parameters, and multiply-accumulates for one image forward."""

    params: int
    macs: int

    def __add__(self, other: Cost) -> Cost:  # type: ignore[override]  # a sum of numbers, not a longer tuple
        return Cost(self.params + other.params, self.macs + other.macs)


class LayerReport(NamedTuple):
    """One line of a described net."""

    layer: Layer
    output: Shape
    cost: Cost


def output_shape(layer: Layer, shape: Shape) -> Shape:
    """The representation after `layer`.

    Convolutions are padded: ceil(n / l). Pooling is not: floor((n - f) / l) + 1.

    Raises:
        ShapeError: the receptive field of a pooling layer is larger than the representation.
    """
    match layer:
        case Conv(filters, _, stride):
            return Shape(filters, -(-shape.size // stride))
        case Pool(kernel, stride):
            if kernel > shape.size:
                raise ShapeError(f"{layer} does not fit a representation of size {shape.size}")
            return Shape(shape.channels, (shape.size - kernel) // stride + 1)
        case FC(units):
            return Shape(units, 1)
        case GAP(classes) | SM(classes):
            return Shape(classes, 1)


def layer_cost(layer: Layer, shape: Shape, *, after_gap: bool, gap_head: GapHead, batch_norm: bool) -> Cost:
    """Parameters (weights, biases, batch normalisation) and multiply-accumulates of `layer` applied to `shape`.

    `after_gap` matters to the softmax alone: with the paper's head nothing trainable stands between global average
    pooling and the softmax; the authors' code keeps a dense layer there.
    """
    out = output_shape(layer, shape)
    match layer:
        case Conv(filters, kernel, _):
            weights = filters * shape.channels * kernel * kernel
            normalisation = 2 * filters if batch_norm else 0
            return Cost(weights + filters + normalisation, weights * out.size * out.size)
        case Pool():
            return Cost(0, 0)
        case GAP(classes):
            weights = shape.channels * classes
            return Cost(weights + classes, weights * shape.size * shape.size)
        case FC(width) | SM(width):
            if after_gap and gap_head == "paper":
                return Cost(0, 0)
            weights = shape.features * width
            return Cost(weights + width, weights)


def describe(
    net: Iterable[Layer], shape: Shape, *, gap_head: GapHead = "paper", batch_norm: bool = False
) -> list[LayerReport]:
    """Each layer of `net` with the shape it leaves and what it costs, for images of `shape`.

    Raises:
        ShapeError: a layer does not fit; the text names it.
    """
    reports: list[LayerReport] = []
    after_gap = False
    for layer in net:
        cost = layer_cost(layer, shape, after_gap=after_gap, gap_head=gap_head, batch_norm=batch_norm)
        shape = output_shape(layer, shape)
        reports.append(LayerReport(layer, shape, cost))
        after_gap = isinstance(layer, GAP)
    return reports


def total_cost(reports: Iterable[LayerReport]) -> Cost:
    """The cost of a whole described net."""
    return sum((report.cost for report in reports), Cost(0, 0))
