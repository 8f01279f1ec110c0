"""Convolutions."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.modules.base import Parts, Written, activation, words_of
from metaqnn_trainer.spaces.cnn.layer import Layer, Shape
from metaqnn_trainer.spaces.cnn.layers.conv import Conv


def build(layer: Conv, shape: Shape, options: ModelOptions, before: type[Layer] | None) -> Parts:
    return [
        ("conv", SameConv2d(shape.channels, layer.filters, layer.kernel, layer.stride, shape.size)),
        *([("norm", nn.BatchNorm2d(layer.filters))] if options.batch_norm else []),
        ("activation", activation(options)),
    ]


class SameConv2d(nn.Conv2d):
    """A convolution from size n to ceil(n / stride). Where the padding cannot be even, right and bottom get more."""

    def __init__(
        self, channels: int, filters: int, kernel: int, stride: int, size: int, *, groups: int = 1, bias: bool = True
    ) -> None:
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        before, after = total // 2, total - total // 2
        super().__init__(channels, filters, kernel, stride, padding=before, groups=groups, bias=bias)
        self.at_once = True  # whether a GPU may compute it and the ReLU behind it at once (fused.py)
        self.uneven = (before, after, before, after) if before != after else None
        if self.uneven:
            self.padding = (0, 0)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.uneven) if self.uneven else x)

    def written(self, name: str) -> Written:
        padding = [(f"{name}_padding", f"nn.ZeroPad2d({self.uneven})")] if self.uneven else []
        return Written([*padding, (name, words_of(self))])
