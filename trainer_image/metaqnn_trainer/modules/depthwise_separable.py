"""Depthwise-separable convolutions."""

from __future__ import annotations

from torch import nn

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.modules.base import Parts, activation
from metaqnn_trainer.modules.conv import SameConv2d
from metaqnn_trainer.spaces.cnn.layer import Layer, Shape
from metaqnn_trainer.spaces.cnn.layers.depthwise_separable import DepthwiseSeparable


def build(layer: DepthwiseSeparable, shape: Shape, options: ModelOptions, before: type[Layer] | None) -> Parts:
    channels, kernel, stride = shape.channels, layer.kernel, layer.stride
    return [
        # It has no bias: the bias of the second convolution has the same effect.
        ("depthwise", SameConv2d(channels, channels, kernel, stride, shape.size, groups=channels, bias=False)),
        ("pointwise", nn.Conv2d(channels, layer.filters, 1)),
        *([("norm", nn.BatchNorm2d(layer.filters))] if options.batch_norm else []),
        ("activation", activation(options)),
    ]
