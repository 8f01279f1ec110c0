"""Average pooling, AP(f,l): the mean of each window (LeCun et al. 1998)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from metaqnn_trainer.contract.errors import ShapeError
from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import Cost
from metaqnn_trainer.spaces.cnn.choices import STRICT, check_shapes
from metaqnn_trainer.spaces.cnn.layer import Layer, Place, Shape, field_label


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragePoolingRules:
    """AP(f,l): pairs of window and stride. If the list is empty, nets have no average pooling."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    shapes: tuple[tuple[int, int], ...] = ()
    """Pairs of window and stride."""

    def __post_init__(self) -> None:
        check_shapes(self.shapes)


@dataclass(frozen=True, slots=True)
class AveragePool(Layer):
    """The mean of each `kernel` x `kernel` window, without padding: floor((n - f) / l) + 1."""

    kernel: int
    stride: int

    name = "AP"
    words = "local average pooling"
    section = "average_pooling"
    rules = AveragePoolingRules()
    pools = True
    colour = "pool"
    builder = "metaqnn_trainer.modules.average_pool:build"

    def output(self, shape: Shape) -> Shape:
        if self.kernel > shape.size:
            raise ShapeError(f"{self} does not fit an image of size {shape.size}")
        return Shape(shape.channels, (shape.size - self.kernel) // self.stride + 1)

    def cost(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> Cost:
        return Cost(0, 0)

    def kept(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> int:
        return self.output(shape).features

    @property
    def label(self) -> tuple[str, str]:
        return "mean", field_label(self.kernel, self.stride)

    @classmethod
    def choices(cls, rules: AveragePoolingRules, size: int, classes: int) -> Iterator[Layer]:
        return (cls(kernel, stride) for kernel, stride in rules.shapes)

    def objection(self, place: Place) -> str | None:
        return place.pooling_objection(self.kernel)

    @classmethod
    def in_words(cls, rules: AveragePoolingRules) -> str:
        pools = ", ".join(str(cls(kernel, stride)) for kernel, stride in rules.shapes)
        return pools and f"{pools}; where pooling may stand"


PLUGIN = AveragePool
