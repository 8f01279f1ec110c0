"""Termination by a softmax, SM(classes) (paper, Table 1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import Cost
from metaqnn_trainer.spaces.cnn.layer import Layer, Place, Shape
from metaqnn_trainer.spaces.cnn.layers.fully_connected import flattened


@dataclass(frozen=True, slots=True)
class SM(Layer):
    """A dense layer to the `classes`, unless the input already is one number for each; the softmax is part of the loss.

    With the paper's head, no trainable layer stands between global average pooling and the softmax; the authors' code
    keeps a dense layer there.
    """

    classes: int

    name = "SM"
    words = "softmax"
    order = 5
    ends = True
    pixels = False
    colour = "softmax"
    paper = True
    builder = "metaqnn_trainer.modules.softmax:build"

    def output(self, shape: Shape) -> Shape:
        return Shape(self.classes, 1)

    def cost(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> Cost:
        if is_bare(model, before):
            return Cost(0, 0)
        weights = shape.features * self.classes
        return Cost(weights + self.classes, weights)

    def kept(self, shape: Shape, model: ModelOptions, before: type[Layer] | None = None) -> int:
        if is_bare(model, before):
            return self.classes
        return flattened(shape, before) + 2 * self.classes  # logits and their softmax

    @property
    def label(self) -> tuple[str, str]:
        return "softmax", f"{self.classes}"

    @classmethod
    def choices(cls, rules: None, size: int, classes: int) -> Iterator[Layer]:
        yield cls(classes)

    def objection(self, place: Place) -> str | None:
        return None

    def refuses(self, following: Layer) -> str:
        return "nothing may follow the softmax"

    def for_classes(self, classes: int) -> SM:
        return SM(classes)


def is_bare(model: ModelOptions, before: type[Layer] | None) -> bool:
    """Whether only the softmax is left, because its input already is the logits."""
    return before is not None and before.scores and model.gap_head == "paper"


PLUGIN = SM
