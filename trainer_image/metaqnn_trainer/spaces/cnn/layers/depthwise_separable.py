"""Depthwise-separable convolution, DSC(d,f,l) (Chollet 2017)."""

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
class DepthwiseSeparableRules:
    """DSC(d,f,l): the filters d, kernel sizes f and strides l, all of which may be combined. If there is no d, nets
    have no such layers."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    filters: tuple[int, ...] = ()
    """Numbers of filters. An empty list means that nets have no such layers."""
    kernels: tuple[int, ...] = (3, 5)
    """Kernel sizes."""
    strides: tuple[int, ...] = (1,)
    """Strides."""

    def __post_init__(self) -> None:
        if self.filters:
            check_choices("filters", self.filters)
        check_choices("kernels", self.kernels)
        check_choices("strides", self.strides)


@dataclass(frozen=True, slots=True)
class DepthwiseSeparable(Layer):
    """A `kernel` x `kernel` convolution of each map by itself, padded, then 1x1 to `filters` maps; nothing between
    them.
    """

    filters: int
    kernel: int
    stride: int

    name = "DSC"
    words = "depthwise-separable convolution"
    section = "depthwise_separable"
    rules = DepthwiseSeparableRules()
    activated = True
    convolves = True
    colour = "conv"
    builder = "metaqnn_trainer.modules.depthwise_separable:build"

    def output(self, shape: Shape) -> Shape:
        return Shape(self.filters, -(-shape.size // self.stride))

    def cost(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> Cost:
        weights = shape.channels * self.kernel * self.kernel + shape.channels * self.filters
        normalisation = 2 * self.filters if model.batch_norm else 0
        return Cost(weights + self.filters + normalisation, weights * self.output(shape).size ** 2)

    def kept(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> int:
        return self._between(shape) + self.output(shape).features * (2 if model.batch_norm else 1)

    def forward(self, shape: Shape, model: ModelOptions) -> int:
        between, out = self._between(shape), self.output(shape).features
        return max(shape.features + between, between + out, 2 * out if model.batch_norm else 0)

    def _between(self, shape: Shape) -> int:
        return shape.channels * self.output(shape).size ** 2

    @property
    def label(self) -> tuple[str, str]:
        return "separable", field_label(self.kernel, self.stride)

    @classmethod
    def choices(cls, rules: DepthwiseSeparableRules, size: int, classes: int) -> Iterator[Layer]:
        return (cls(*numbers) for numbers in product(rules.filters, rules.kernels, rules.strides))

    def objection(self, place: Place) -> str | None:
        return place.field_objection(self.kernel)

    @classmethod
    def in_words(cls, rules: DepthwiseSeparableRules) -> str:
        told = f"{in_words(rules.filters)} filters; {fields_and_strides(rules.kernels, rules.strides)}"
        return told if rules.filters else ""

    @property
    def convolutions(self) -> tuple[tuple[int, int], ...]:
        return ((self.filters, self.kernel),)


PLUGIN = DepthwiseSeparable
