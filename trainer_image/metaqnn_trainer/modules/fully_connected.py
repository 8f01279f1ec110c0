"""Fully connected layers."""

from __future__ import annotations

from torch import nn

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.modules.base import Parts, activation
from metaqnn_trainer.spaces.cnn.layer import Layer, Shape
from metaqnn_trainer.spaces.cnn.layers.fully_connected import FC


def build(layer: FC, shape: Shape, options: ModelOptions, before: type[Layer] | None) -> Parts:
    return [
        ("flatten", nn.Flatten()),
        ("fc", nn.Linear(shape.features, layer.units)),
        ("activation", activation(options)),
    ]
