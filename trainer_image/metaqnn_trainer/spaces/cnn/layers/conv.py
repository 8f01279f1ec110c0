"""Convolution, C(d,f,l) (paper, Table 1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import Cost
from metaqnn_trainer.spaces.cnn.choices import STRICT, Choices, check_choices, fields_and_strides, in_words, values
from metaqnn_trainer.spaces.cnn.layer import Layer, Place, Shape, field_label


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvolutionRules:
    """Convolutions C(d,f,l): the filters d, kernel sizes f and strides l, all of which may be combined.

    Log-spaced kernel sizes lie between 2 and the image's size, log-spaced strides between 1 and the kernel size.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    filters: tuple[int, ...] = (64, 128, 256, 512)
    """Numbers of filters."""
    kernels: Choices = (1, 3, 5)
    """Kernel sizes, as a list or log-spaced."""
    strides: Choices = (1,)
    """Strides, as a list or log-spaced."""

    def __post_init__(self) -> None:
        check_choices("filters", self.filters)
        check_choices("kernels", self.kernels)
        check_choices("strides", self.strides)


@dataclass(frozen=True, slots=True)
class Conv(Layer):
    """`filters` maps, a `kernel` x `kernel` receptive field; padded, so that stride 1 keeps the size."""

    filters: int
    kernel: int
    stride: int = 1

    name = "C"
    words = "convolution"
    order = 1
    section = "convolution"
    rules = ConvolutionRules()
    activated = True
    convolves = True
    colour = "conv"
    paper = True
    builder = "metaqnn_trainer.modules.conv:build"

    def output(self, shape: Shape) -> Shape:
        return Shape(self.filters, -(-shape.size // self.stride))

    def cost(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> Cost:
        weights = self.filters * shape.channels * self.kernel * self.kernel
        normalisation = 2 * self.filters if model.batch_norm else 0
        return Cost(weights + self.filters + normalisation, weights * self.output(shape).size ** 2)

    def kept(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> int:
        return self.output(shape).features * (2 if model.batch_norm else 1)

    @property
    def label(self) -> tuple[str, str]:
        return "conv", field_label(self.kernel, self.stride)

    @classmethod
    def choices(cls, rules: ConvolutionRules, size: int, classes: int) -> Iterator[Layer]:
        for filters, kernel in product(rules.filters, values(rules.kernels, 2, size)):
            for stride in values(rules.strides, 1, kernel):
                yield cls(filters, kernel, stride)

    def objection(self, place: Place) -> str | None:
        return place.field_objection(self.kernel)

    @classmethod
    def in_words(cls, rules: ConvolutionRules) -> str:
        return f"{in_words(rules.filters)} filters; {fields_and_strides(rules.kernels, rules.strides)}"

    @property
    def convolutions(self) -> tuple[tuple[int, int], ...]:
        return ((self.filters, self.kernel),)


PLUGIN = Conv
