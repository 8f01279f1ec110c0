"""Residual block, RES(d,f,l) (He et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import Cost
from metaqnn_trainer.spaces.cnn.choices import STRICT, check_choices, fields_and_strides, in_words
from metaqnn_trainer.spaces.cnn.layer import Layer, Place, Shape, field_label


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualRules:
    """RES(d,f,l): the filters d, kernel sizes f and strides l, all of which may be combined. If there is no d, nets
    have no such layers."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    filters: tuple[int, ...] = ()
    """Numbers of filters. An empty list means that nets have no such layers."""
    kernels: tuple[int, ...] = (3,)
    """Kernel sizes."""
    strides: tuple[int, ...] = (1, 2)
    """Strides."""

    def __post_init__(self) -> None:
        if self.filters:
            check_choices("filters", self.filters)
        check_choices("kernels", self.kernels)
        check_choices("strides", self.strides)


@dataclass(frozen=True, slots=True)
class Residual(Layer):
    """Two padded `kernel` x `kernel` convolutions to `filters` maps, the first with the stride. The input is added to
    their output; it goes through a 1x1 convolution if its channels or its size differ.
    """

    filters: int
    kernel: int
    stride: int

    name = "RES"
    words = "residual block"
    section = "residual"
    rules = ResidualRules()
    activated = True
    convolves = True
    colour = "conv"
    builder = "metaqnn_trainer.modules.residual:build"

    def output(self, shape: Shape) -> Shape:
        return Shape(self.filters, -(-shape.size // self.stride))

    def projects(self, shape: Shape) -> bool:
        """Whether the input needs a 1x1 convolution before it can be added."""
        return self.output(shape) != shape

    def cost(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> Cost:
        field, channels = self.kernel * self.kernel, shape.channels
        weights = self.filters * (channels * field + self.filters * field + channels * self.projects(shape))
        each = self.filters * (3 if model.batch_norm else 1)  # biases, and the scales and shifts of normalisation
        return Cost(weights + each * (2 + self.projects(shape)), weights * self.output(shape).size ** 2)

    def kept(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> int:
        normalised = 2 + self.projects(shape) if model.batch_norm else 0
        return self.output(shape).features * (2 + normalised)

    def forward(self, shape: Shape, model: ModelOptions) -> int:
        return shape.features + self.output(shape).features * (3 if model.batch_norm else 2)

    @property
    def label(self) -> tuple[str, str]:
        return "residual", field_label(self.kernel, self.stride)

    @classmethod
    def choices(cls, rules: ResidualRules, size: int, classes: int) -> Iterator[Layer]:
        return (cls(*numbers) for numbers in product(rules.filters, rules.kernels, rules.strides))

    def objection(self, place: Place) -> str | None:
        return place.field_objection(self.kernel)

    @classmethod
    def in_words(cls, rules: ResidualRules) -> str:
        told = f"{in_words(rules.filters)} filters; {fields_and_strides(rules.kernels, rules.strides)}"
        return told if rules.filters else ""

    @property
    def convolutions(self) -> tuple[tuple[int, int], ...]:
        return ((self.filters, self.kernel),) * 2


PLUGIN = Residual
