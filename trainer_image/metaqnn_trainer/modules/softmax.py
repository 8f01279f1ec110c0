"""The dense layer before the softmax; the softmax itself is part of the loss."""

from __future__ import annotations

from torch import nn

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.modules.base import Parts
from metaqnn_trainer.spaces.cnn.layer import Layer, Shape
from metaqnn_trainer.spaces.cnn.layers.softmax import SM, is_bare


def build(layer: SM, shape: Shape, options: ModelOptions, before: type[Layer] | None) -> Parts:
    if is_bare(options, before):
        return []
    return [("flatten", nn.Flatten()), ("logits", nn.Linear(shape.features, layer.classes))]
