"""Termination by global average pooling, GAP(classes) (Lin, Chen and Yan 2013; paper, Table 1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import Cost
from metaqnn_trainer.spaces.cnn.layer import Layer, Net, Place, Shape
from metaqnn_trainer.spaces.cnn.layers.softmax import SM


@dataclass(frozen=True, slots=True)
class GAP(Layer):
    """A 1x1 convolution to one map for each of the `classes`, and the mean of each map. A softmax follows."""

    classes: int

    name = "GAP"
    words = "average pooling"
    order = 4
    ends = True
    scores = True
    pixels = False
    dropout = "none"
    colour = "average"
    paper = True
    builder = "metaqnn_trainer.modules.gap:build"

    def output(self, shape: Shape) -> Shape:
        return Shape(self.classes, 1)

    def cost(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> Cost:
        weights = shape.channels * self.classes
        return Cost(weights + self.classes, weights * shape.size * shape.size)

    def kept(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> int:
        return self.classes * shape.size**2 + self.classes

    @property
    def label(self) -> tuple[str, str]:
        return "average", f"{self.classes}"

    @property
    def tail(self) -> Net:
        return (SM(self.classes),)

    @classmethod
    def choices(cls, rules: None, size: int, classes: int) -> Iterator[Layer]:
        yield cls(classes)

    def objection(self, place: Place) -> str | None:
        rules = place.rules
        if SM.name not in rules.terminations:
            return None  # nothing else could end the net here
        if not rules.gap_after_fc:
            if place.before is not None and not place.before.pixels:
                return f"after a {place.before.words} layer it repeats SM, and gap_after_fc is false"
            if place.shape.size == 1 and place.model.gap_head == "paper":
                return "on a single pixel it repeats SM, and gap_after_fc is false"
        if not rules.gap_at_depth_limit and place.key.depth >= rules.max_layers:
            return f"a net has at most {rules.max_layers} layers, and GAP is one of them: gap_at_depth_limit is false"
        return None

    def refuses(self, following: Layer) -> str | None:
        if not isinstance(following, SM):
            return "only a softmax may follow GAP"
        agrees = following.classes == self.classes
        return None if agrees else f"{self} and {following} have different numbers of classes"

    def for_classes(self, classes: int) -> GAP:
        return GAP(classes)


PLUGIN = GAP
