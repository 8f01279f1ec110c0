"""Residual U-Nets as torch modules, of two or three dimensions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import torch
from torch import Tensor, nn

from metaqnn_segmentation.space import ResidualUNets, UNet

ACTIVATIONS: Final[dict[str, type[nn.Module]]] = {"relu": nn.ReLU, "elu": nn.ELU, "leaky_relu": nn.LeakyReLU}


def layer(kind: str, dimensions: int, *arguments: Any, **more: Any) -> nn.Module:
    """torch's layer of this kind for so many dimensions."""
    found: nn.Module = getattr(nn, f"{kind}{dimensions}d")(*arguments, **more)
    return found


class Block(nn.Module):
    """Three convolutions, and what goes past them. Whole maps are dropped (Tompson et al. 2015)."""

    def __init__(self, dimensions: int, net: UNet, before: int, width: int) -> None:
        super().__init__()
        self.activation, layers = ACTIVATIONS[net.activation](), list[nn.Module]()
        for inputs, kernel in zip((before, width, width), (net.first, net.second, net.third), strict=True):
            layers.append(layer("Conv", dimensions, inputs, width, kernel, padding=kernel // 2, bias=False))
            layers += [layer("InstanceNorm", dimensions, width, affine=True), self.activation]
        self.convolutions = nn.Sequential(*layers[:-1], layer("Dropout", dimensions, net.dropout))
        self.past = layer("Conv", dimensions, before, width, 1) if before != width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.activation(self.convolutions(x) + self.past(x))
        return found


class ResidualUNet(nn.Module):
    """A design of the space: (n, channels, *edges) to logits (n, classes, *edges)."""

    def __init__(self, space: ResidualUNets, design: str) -> None:
        super().__init__()
        net, edges = space.net_of(design), space.dimensions
        widths = [net.filters << level for level in range(net.levels)]
        self.concat = net.merge == "concat"
        self.encoder = nn.ModuleList(Block(edges, net, *pair) for pair in pairwise([space.options.channels, *widths]))
        self.pool = layer("MaxPool", edges, 2)
        self.up = nn.ModuleList(layer("ConvTranspose", edges, 2 * each, each, 2, stride=2) for each in widths[:-1])
        self.decoder = nn.ModuleList(Block(edges, net, each * (1 + self.concat), each) for each in widths[:-1])
        self.classes = layer("Conv", edges, widths[0], space.options.classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        passed: list[Tensor] = []
        for block in self.encoder:
            passed.append(block(self.pool(passed[-1]) if passed else x))
        x = passed.pop()
        for up, block in reversed([*zip(self.up, self.decoder, strict=True)]):
            x, beside = up(x), passed.pop()
            x = block(torch.cat([x, beside], 1) if self.concat else x + beside)
        found: Tensor = self.classes(x)
        return found
