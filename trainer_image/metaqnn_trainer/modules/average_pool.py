"""Average pooling."""

from __future__ import annotations

from torch import nn

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.modules.base import Parts
from metaqnn_trainer.spaces.cnn.layer import Layer, Shape
from metaqnn_trainer.spaces.cnn.layers.average_pool import AveragePool


def build(layer: AveragePool, shape: Shape, options: ModelOptions, before: type[Layer] | None) -> Parts:
    return [("average", nn.AvgPool2d(layer.kernel, layer.stride))]
