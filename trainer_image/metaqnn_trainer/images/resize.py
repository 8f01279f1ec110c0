"""Resizing of images of any size: first as `dataset push` resizes, then as a search does, in operations that every
export format has. The functions need nothing but torch, because their text is a part of exported Python files.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def pushed(images: Tensor, size: int) -> Tensor:
    """Images (n, channels, height, width) uint8 as (n, channels, size, size), float32 whole numbers: the bytes of
    Pillow's bilinear filter, which averages where it makes smaller, first along rows, then along columns.
    """
    across = pushed_rows(images.double(), size)
    return pushed_rows(across.transpose(2, 3), size).transpose(2, 3).float()


def pushed_rows(values: Tensor, size: int) -> Tensor:
    """Whole numbers (…, length) from 0 to 255 resized to (…, size), in double precision, which is exact here: Pillow
    sums whole numbers in units of 2^-22.
    """
    places = torch.arange(values.shape[-1], dtype=torch.float64, device=values.device)
    length = torch.scalar_tensor(values.shape[-1], dtype=torch.float64, device=values.device)
    step = length / size
    reach = step.clamp(min=1.0)
    centres = ((torch.arange(size, dtype=torch.float64, device=values.device) + 0.5) * step)[:, None]
    first = (centres - reach + 0.5).floor()
    end = (centres + reach + 0.5).floor()
    weights = 1.0 - ((places - centres + 0.5) * (1.0 / reach)).abs()
    weights = torch.where((places >= first) & (places < end), weights, 0.0).clamp(min=0.0)
    weights = (weights / weights.sum(1, keepdim=True) * 2**22 + 0.5).floor()
    return ((values @ weights.T + 2**21) / 2**22).floor().clamp(0.0, 255.0)


def fitted(images: Tensor, made: int, size: int, matrix: Tensor | None = None) -> Tensor:
    """Images (n, channels, height, width) uint8 as a net for images of `size` takes them, float32 whole numbers. Images
    of `size` stay as they are; others are resized to `made`, the size of the dataset, and if that is another size, from
    there to `size`: by torch, or where only products of matrices are possible, by `matrix` (size, made).
    """
    if made == size:
        return pushed(images, size)
    height, width = (torch.scalar_tensor(length, device=images.device) for length in images.shape[2:])
    # Which of the two it is must not be decided in Python: exported graphs have no branches.
    ready = (height == size) & (width == size)
    smooth = pushed(images, made)
    if matrix is None:
        smooth = nn.functional.interpolate(smooth, size=(size, size), mode="bilinear", antialias=True)
    else:
        smooth = matrix @ (smooth @ matrix.T)
    return torch.where(ready, pushed(images, size), smooth.round().clamp(0, 255))
