"""Max pooling."""

from __future__ import annotations

from torch import nn

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.modules.base import Parts
from metaqnn_trainer.spaces.cnn.layer import Layer, Shape
from metaqnn_trainer.spaces.cnn.layers.max_pool import Pool


def build(layer: Pool, shape: Shape, options: ModelOptions, before: type[Layer] | None) -> Parts:
    return [("pool", nn.MaxPool2d(layer.kernel, layer.stride))]
