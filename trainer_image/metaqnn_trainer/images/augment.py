"""Augmentation as operations on whole batches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def augmented(images: Tensor, mirror: bool, translate: int, generator: torch.Generator) -> Tensor:
    """Images (n, channels, size, size), each flipped left to right one time in two if `mirror`, and moved by up to
    `translate` pixels in each direction. The uncovered border is 0, the mean of normalised images.

    `generator` must be the CPU's, so that every device sees the same images.
    """
    count = len(images)
    if mirror:
        flip = torch.randint(0, 2, (count, 1, 1, 1), generator=generator).bool().to(images.device)
        images = torch.where(flip, images.flip(3), images)
    if translate:
        size = images.shape[-1]
        offsets = torch.randint(0, 2 * translate + 1, (2, count, 1), generator=generator)
        rows, columns = (offsets + torch.arange(size)).to(images.device)
        padded = F.pad(images, (translate,) * 4).permute(0, 2, 3, 1)
        every = torch.arange(count, device=images.device)[:, None, None]
        images = padded[every, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return images
