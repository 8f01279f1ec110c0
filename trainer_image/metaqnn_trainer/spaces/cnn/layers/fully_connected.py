"""Fully connected layer, FC(d) (paper, Table 1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import Cost
from metaqnn_trainer.spaces.cnn.choices import STRICT, check_choices, in_words, require
from metaqnn_trainer.spaces.cnn.layer import Layer, Place, Shape, StateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class FullyConnectedRules:
    """Fully connected layers FC(d). null means no limit."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    units: tuple[int, ...] = (512, 256, 128)
    """Numbers of units. An empty list means that nets have no fully connected layers."""
    max_layers: int | None = 2
    """How many fully connected layers a net may have. They follow each other."""
    max_size: int | None = 7
    """Largest size of the image at which a fully connected layer may follow. 7 corresponds to the paper's size buckets
    4 and 1."""
    never_wider: bool = True
    """Whether a fully connected layer may not be wider than the one before it."""

    def __post_init__(self) -> None:
        if self.units:  # no units: no fully connected layers
            check_choices("units", self.units)
        require(self.max_layers is None or self.max_layers >= 0, "max_layers must not be negative")
        require(self.max_size is None or self.max_size >= 1, "max_size must be at least 1")


@dataclass(frozen=True, slots=True)
class FC(Layer):
    """`units` neurons, each connected to the whole representation."""

    units: int

    name = "FC"
    words = "fully connected"
    order = 3
    section = "fully_connected"
    rules = FullyConnectedRules()
    pixels = False
    activated = True
    dropout = "each"
    colour = "dense"
    paper = True
    builder = "metaqnn_trainer.modules.fully_connected:build"

    def output(self, shape: Shape) -> Shape:
        return Shape(self.units, 1)

    def cost(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> Cost:
        weights = shape.features * self.units
        return Cost(weights + self.units, weights)

    def kept(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> int:
        return flattened(shape, before) + self.units

    @property
    def label(self) -> tuple[str, str]:
        return "dense", f"{self.units}"

    @classmethod
    def choices(cls, rules: FullyConnectedRules, size: int, classes: int) -> Iterator[Layer]:
        return (cls(units) for units in rules.units)

    def objection(self, place: Place) -> str | None:
        rules: FullyConnectedRules = place.own(FC)
        key = place.key
        if place.before is None:
            return "a net does not begin with a fully connected layer"
        if rules.max_layers is not None and key.fc_layers >= rules.max_layers:
            return f"a net has at most {rules.max_layers} fully connected layers"
        if place.before is FC:
            wider = rules.never_wider and self.units > key.units
            return f"a fully connected layer may not be wider than the one before it, {key.units}" if wider else None
        if rules.max_size is not None and place.shape.size > rules.max_size:
            return (
                f"fully connected layers need an image size of at most {rules.max_size}, but here it is "
                f"{place.shape.size}"
            )
        return None

    def keyed(self, before: StateKey, rules: FullyConnectedRules) -> dict[str, int]:
        counted = before.fc_layers + 1 if rules.max_layers is not None else 0
        return {"units": self.units, "fc_layers": counted}

    @classmethod
    def in_words(cls, rules: FullyConnectedRules) -> str:
        if not rules.units:
            return "none"
        many = "any number" if rules.max_layers is None else f"at most {rules.max_layers}"
        where = "at any size" if rules.max_size is None else f"at sizes up to {rules.max_size}"
        wider = ", never wider than the one before" if rules.never_wider else ""
        return f"{many} of {in_words(rules.units)} units, {where}{wider}"


def flattened(shape: Shape, before: type[Layer] | None) -> int:
    """Numbers that are kept in addition where pixels are flattened. They are copied, because the channels are last in
    memory; the copy takes the place of an output that no activation function keeps.
    """
    return shape.features if shape.size > 1 and (before is None or before.activated) else 0


PLUGIN = FC
