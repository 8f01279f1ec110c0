"""Max pooling, P(f,l) (paper, Table 1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from metaqnn_trainer.contract.errors import ShapeError
from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import Cost
from metaqnn_trainer.spaces.cnn.choices import (
    STRICT,
    Choices,
    check_choices,
    check_shapes,
    fields_and_strides,
    require,
    values,
)
from metaqnn_trainer.spaces.cnn.layer import Layer, Place, Shape, field_label


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolingRules:
    """Poolings P(f,l): either pairs of size and stride (`shapes`; an empty list forbids pooling), or sizes (`kernels`)
    and `strides` to combine."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    shapes: tuple[tuple[int, int], ...] | None = None
    """Pairs of pooling size and stride."""
    kernels: Choices | None = None
    """Pooling sizes, combined with every one of `strides`."""
    strides: Choices | None = None
    """Strides, combined with every one of `kernels`."""

    def __post_init__(self) -> None:
        pairs = self.shapes is not None
        combined = self.kernels is not None and self.strides is not None
        neither = self.kernels is None and self.strides is None
        require((pairs and neither) or (combined and not pairs), "give either shapes, or both kernels and strides")
        check_shapes(self.shapes or ())
        if combined:
            assert self.kernels is not None
            assert self.strides is not None
            check_choices("kernels", self.kernels)
            check_choices("strides", self.strides)


@dataclass(frozen=True, slots=True)
class Pool(Layer):
    """The largest number of each `kernel` x `kernel` window, without padding: floor((n - f) / l) + 1."""

    kernel: int
    stride: int

    name = "P"
    words = "pooling"
    order = 2
    section = "pooling"
    rules = PoolingRules(shapes=((5, 3), (3, 2), (2, 2)))
    pools = True
    colour = "pool"
    paper = True
    builder = "metaqnn_trainer.modules.max_pool:build"

    def output(self, shape: Shape) -> Shape:
        if self.kernel > shape.size:
            raise ShapeError(f"{self} does not fit an image of size {shape.size}")
        return Shape(shape.channels, (shape.size - self.kernel) // self.stride + 1)

    def cost(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> Cost:
        return Cost(0, 0)

    def kept(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> int:
        return 3 * self.output(shape).features  # an index has 64 bits

    @property
    def label(self) -> tuple[str, str]:
        return "pool", field_label(self.kernel, self.stride)

    @classmethod
    def choices(cls, rules: PoolingRules, size: int, classes: int) -> Iterator[Layer]:
        if rules.shapes is not None:
            for kernel, stride in rules.shapes:
                yield cls(kernel, stride)
        elif rules.kernels is not None and rules.strides is not None:
            for kernel in values(rules.kernels, 2, size):
                for stride in values(rules.strides, 1, kernel):
                    yield cls(kernel, stride)

    def objection(self, place: Place) -> str | None:
        return place.pooling_objection(self.kernel)

    @classmethod
    def in_words(cls, rules: PoolingRules) -> str:
        if rules.shapes is not None:
            pools = ", ".join(str(cls(kernel, stride)) for kernel, stride in rules.shapes) or "none"
        else:
            pools = fields_and_strides(rules.kernels, rules.strides)
        return f"{pools}; never first, never twice in a row"


PLUGIN = Pool
