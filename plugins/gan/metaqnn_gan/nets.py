"""Generators and their critic as torch modules."""

from __future__ import annotations

from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from metaqnn_gan.space import Cell, GeneratorCells

SLOPE: Final = 0.1  # of the critic's leaky ReLUs, as in Miyato et al. 2018
SMALLEST: Final = 2  # pixels; the critic halves images down to it


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that leaves a single pixel of a single image as it is: nothing can be told from it."""

    def forward(self, x: Tensor) -> Tensor:
        return x if self.training and x.numel() == x.shape[1] else super().forward(x)


class CellModule(nn.Module):
    """Maps (n, width, size, size) to (n, width, 2 size, 2 size)."""

    def __init__(self, cell: Cell, width: int) -> None:
        super().__init__()
        self.cell = cell
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.norms = nn.ModuleList(_norm(cell.norm, width) for _ in range(2))
        self.larger: nn.Module = nn.Upsample(scale_factor=2, mode=cell.upsampling)
        if cell.upsampling == "deconv":
            self.larger = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.shortcut = nn.Conv2d(width, width, 1) if cell.shortcut else None
        self.skips = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in cell.skips)

    def forward(self, x: Tensor, inner: list[Tensor]) -> Tensor:
        """`inner` are the maps between the convolutions of all earlier cells; this one adds its own."""
        h = self._block(0, x)
        for number, convolution in zip(self.cell.skips, self.skips, strict=True):
            h = h + F.interpolate(convolution(inner[number - 1]), h.shape[-2:])
        inner.append(h)
        h = self._block(1, h)
        return h if self.shortcut is None else h + F.interpolate(self.shortcut(x), h.shape[-2:])

    def _block(self, number: int, x: Tensor) -> Tensor:
        """Convolution, normalisation and activation in the cell's order; the first block enlarges."""
        is_pre, norm = self.cell.convolution == "pre", self.norms[number]
        x = F.relu(norm(x)) if is_pre else x
        x = self.second(x) if number else self.first(self.larger(x))
        return x if is_pre else F.relu(norm(x))


def _norm(name: str, width: int) -> nn.Module:
    if name == "batch":
        return BatchNorm(width)
    return nn.InstanceNorm2d(width, affine=True) if name == "instance" else nn.Identity()


class Generator(nn.Module):
    """Random numbers (n, latent) to images (n, channels, size, size) with values from -1 to 1."""

    def __init__(self, space: GeneratorCells, design: str) -> None:
        super().__init__()
        options, width = space.options, space.options.width
        self.maps = (width, space.bottom, space.bottom)
        self.begin = nn.Linear(options.latent, width * space.bottom**2)
        self.cells = nn.ModuleList(CellModule(cell, width) for cell in space.cells(design))
        convolution = nn.Conv2d(width, options.channels, 3, padding=1)
        self.end = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), convolution, nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        x, inner = self.begin(z).unflatten(1, self.maps), list[Tensor]()
        for cell in self.cells:
            x = cell(x, inner)
        found: Tensor = self.end(x)
        return found


def critic(channels: int, size: int, width: int) -> nn.Sequential:
    """Images to one number each, by the same net for all designs; spectrally normalised (Miyato et al. 2018)."""
    modules: list[nn.Module] = []
    before, after = channels, width
    while size > SMALLEST and size % 2 == 0:
        modules += [nn.Conv2d(before, after, 3, padding=1), nn.LeakyReLU(SLOPE)]
        modules += [nn.Conv2d(after, after, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        before, after, size = after, 2 * after, size // 2
    modules += [nn.Flatten(), nn.Linear(before * size**2, 1), nn.Flatten(0)]
    return nn.Sequential(*(spectral_norm(each) if hasattr(each, "weight") else each for each in modules))
