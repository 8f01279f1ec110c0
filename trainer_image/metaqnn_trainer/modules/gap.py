"""Global average pooling."""

from __future__ import annotations

from torch import Tensor, nn

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.modules.base import Parts, Written, words_of
from metaqnn_trainer.spaces.cnn.layer import Layer, Shape
from metaqnn_trainer.spaces.cnn.layers.gap import GAP


def build(layer: GAP, shape: Shape, options: ModelOptions, before: type[Layer] | None) -> Parts:
    return [
        ("maps", ClassMaps(shape.channels, layer.classes, flat=before is not None and not before.pixels)),
        *([("activation", nn.ReLU(inplace=True))] if options.gap_head == "code" else []),
        ("mean", SpatialMean()),
    ]


class ClassMaps(nn.Conv2d):
    """The convolution before global average pooling. After a fully connected layer its input is one pixel."""

    def __init__(self, channels: int, classes: int, *, flat: bool) -> None:
        super().__init__(channels, classes, 1)
        self.flat = flat

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:, :, None, None] if self.flat else x)

    def written(self, name: str) -> Written:
        pixel = [(f"{name}_pixel", f"nn.Unflatten(1, ({self.in_channels}, 1, 1))")] if self.flat else []
        return Written([*pixel, (name, words_of(self))])


class SpatialMean(nn.Module):
    """The mean of each map: (n, channels, h, w) to (n, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))

    def written(self, name: str) -> Written:
        return Written([(name, "nn.AdaptiveAvgPool2d(1)"), (f"{name}_flat", "nn.Flatten()")])
