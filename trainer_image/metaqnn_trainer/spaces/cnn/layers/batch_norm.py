"""Batch normalisation as a layer of its own, BN() (Ioffe and Szegedy 2015)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import Cost
from metaqnn_trainer.spaces.cnn.choices import STRICT
from metaqnn_trainer.spaces.cnn.layer import Layer, Place, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNormalisationRules:
    """BN(): whether it may be chosen, after any convolution. `model.batch_norm` puts one after every convolution
    instead."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    offered: bool = False
    """Whether batch normalisation may be chosen as a layer."""


@dataclass(frozen=True, slots=True)
class BatchNorm(Layer):
    """Scales and shifts each map to a learned mean and a learned deviation."""

    name = "BN"
    words = "batch normalisation"
    section = "batch_normalisation"
    rules = BatchNormalisationRules()
    joins = True
    colour = "soft"
    builder = "metaqnn_trainer.modules.batch_norm:build"

    def output(self, shape: Shape) -> Shape:
        return shape

    def cost(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> Cost:
        return Cost(2 * shape.channels, 0)

    def kept(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> int:
        return shape.features

    @property
    def label(self) -> tuple[str, str]:
        return "norm", "batch"

    @classmethod
    def choices(cls, rules: BatchNormalisationRules, size: int, classes: int) -> Iterator[Layer]:
        if rules.offered:
            yield cls()

    def objection(self, place: Place) -> str | None:
        if place.before is None or not place.before.convolves:
            return "batch normalisation stands after a convolution"
        return "model.batch_norm puts one after every convolution" if place.model.batch_norm else None

    @classmethod
    def in_words(cls, rules: BatchNormalisationRules) -> str:
        return "after convolutions of any kind, never twice in a row" if rules.offered else ""


PLUGIN = BatchNorm
