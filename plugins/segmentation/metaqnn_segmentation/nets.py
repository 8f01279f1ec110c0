"""Residual U-Nets as torch modules, of two or three dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from metaqnn_segmentation.space import ResidualUNets, UNet

ACTIVATIONS: Final[Mapping[str, type[nn.Module]]] = {"relu": nn.ReLU, "elu": nn.ELU, "leaky_relu": nn.LeakyReLU}
CONVOLUTION: Final = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: Final = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORM: Final = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
POOL: Final = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
DROPOUT: Final = {2: nn.Dropout2d, 3: nn.Dropout3d}


class Block(nn.Module):
    """Three convolutions, and what goes past them. Whole maps are dropped (Tompson et al. 2015)."""

    def __init__(self, dimensions: int, net: UNet, before: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, kernel in zip((before, width, width), net.kernels, strict=True):
            layers += [
                CONVOLUTION[dimensions](inputs, width, kernel, padding=kernel // 2, bias=False),
                NORM[dimensions](width, affine=True),
                ACTIVATIONS[net.activation](),
            ]
        self.convolutions = nn.Sequential(*layers[:-1], DROPOUT[dimensions](net.dropout))
        self.past = CONVOLUTION[dimensions](before, width, 1) if before != width else nn.Identity()
        self.activation = layers[-1]

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.activation(self.convolutions(x) + self.past(x))
        return found


class ResidualUNet(nn.Module):
    """A design of the space: (n, channels, *edges) to logits (n, classes, *edges)."""

    def __init__(self, space: ResidualUNets, design: str) -> None:
        super().__init__()
        net, dimensions = space.net_of(design), space.dimensions
        widths = [net.width(level) for level in range(net.levels)]
        self.encoder = nn.ModuleList(
            Block(dimensions, net, before, width)
            for before, width in zip([space.options.channels, *widths], widths, strict=False)
        )
        self.pool = POOL[dimensions](2)
        self.up = nn.ModuleList(TRANSPOSED[dimensions](2 * width, width, 2, stride=2) for width in widths[:-1])
        self.concat = net.merge == "concat"
        self.decoder = nn.ModuleList(
            Block(dimensions, net, 2 * width if self.concat else width, width) for width in widths[:-1]
        )
        self.classes = CONVOLUTION[dimensions](widths[0], space.options.classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        passed: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(self.pool(x) if level else x)
            passed.append(x)
        passed.pop()
        for up, block in reversed([*zip(self.up, self.decoder, strict=True)]):
            x, beside = up(x), passed.pop()
            x = block(torch.cat([x, beside], 1) if self.concat else x + beside)
        found: Tensor = self.classes(x)
        return found
