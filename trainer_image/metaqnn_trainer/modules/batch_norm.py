"""Batch normalisation as a layer of its own."""

from __future__ import annotations

from torch import nn

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.modules.base import Parts
from metaqnn_trainer.spaces.cnn.layer import Layer, Shape
from metaqnn_trainer.spaces.cnn.layers.batch_norm import BatchNorm


def build(layer: BatchNorm, shape: Shape, options: ModelOptions, before: type[Layer] | None) -> Parts:
    return [("norm", nn.BatchNorm2d(shape.channels))]
