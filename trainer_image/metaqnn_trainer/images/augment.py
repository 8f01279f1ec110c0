"""Augmentation as operations on whole batches.

Every generator here must be the CPU's, so that every device draws the same numbers. Nothing waits for the device.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from metaqnn_trainer.contract.messages import Recipe

_LUMA = (0.299, 0.587, 0.114)  # red, green and blue in grey (ITU-R BT.601)


def jittered(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Images (n, channels, size, size) uint8 with random brightness, contrast and saturation, in this order, as float32
    from 0 to 255. If the recipe has none of them, the images themselves.
    """
    if not (recipe.brightness or recipe.contrast or recipe.saturation):
        return images
    values = images.to(torch.float32, memory_format=torch.channels_last)
    if recipe.brightness:
        values = (values * _factors(images, recipe.brightness, generator)).clamp_(0, 255)
    if recipe.contrast:
        centre = _grey(values).mean((2, 3), keepdim=True)
        values = torch.lerp(centre, values, _factors(images, recipe.contrast, generator)).clamp_(0, 255)
    if recipe.saturation:
        values = torch.lerp(_grey(values), values, _factors(images, recipe.saturation, generator)).clamp_(0, 255)
    return values


def _factors(images: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    """A factor (n, 1, 1, 1) from 1 - amount to 1 + amount for each image."""
    return _uniform(len(images), -amount, amount, generator).add_(1).view(-1, 1, 1, 1).to(images.device)


def _grey(images: Tensor) -> Tensor:
    """(n, 1, size, size)"""
    if images.shape[1] != len(_LUMA):
        return images.mean(1, keepdim=True)
    return sum(weight * images[:, channel, None] for channel, weight in enumerate(_LUMA))  # type: ignore[return-value]


def augmented(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Normalised images (n, channels, size, size) that were moved at random, as far as the recipe says: mirrored,
    rotated and cropped, shifted, and a square of them blanked out. What is uncovered or blank is 0, the mean.
    """
    count, size, device = len(images), images.shape[-1], images.device
    if recipe.mirror:
        flip = torch.randint(0, 2, (count, 1, 1, 1), generator=generator).bool().to(device)
        images = torch.where(flip, images.flip(3), images)
    if recipe.crop < 1 or recipe.rotation:
        images = _resampled(images, recipe.crop, recipe.rotation, generator)
    if recipe.translate:
        reach = recipe.translate
        offsets = torch.randint(0, 2 * reach + 1, (2, count, 1), generator=generator)
        rows, columns = (offsets + torch.arange(size)).to(device)
        padded = F.pad(images, (reach,) * 4).permute(0, 2, 3, 1)
        every = torch.arange(count, device=device)[:, None, None]
        images = padded[every, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if recipe.cutout:
        centres = torch.randint(0, size, (2, count, 1), generator=generator)
        distance = torch.arange(size) - centres + recipe.cutout // 2
        rows, columns = ((distance >= 0) & (distance < recipe.cutout)).to(device)
        images = images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)
    return images


def _resampled(images: Tensor, crop: float, rotation: float, generator: torch.Generator) -> Tensor:
    """Images of which each shows a random square of itself, whose area is a share from `crop` to 1, turned by up to
    `rotation` degrees about the square's centre; bilinear.
    """
    count, size, device = len(images), images.shape[-1], images.device
    side = _uniform(count, crop, 1.0, generator).sqrt_()
    centre = _uniform(2 * count, -1.0, 1.0, generator).view(2, count) * (1 - side)
    angle = _uniform(count, -math.radians(rotation), math.radians(rotation), generator)
    numbers = torch.stack([side * angle.cos(), side * angle.sin(), *centre]).view(4, count, 1, 1).to(device)
    # Coordinates go from -1 to 1. They are summed up one by one: a product of matrices might be rounded to TF32.
    cosine, sine, x, y = numbers
    steps = (2 * torch.arange(size, device=device) + 1) / size - 1
    across, down = steps[None, None, :], steps[None, :, None]
    grid = torch.stack([x + cosine * across - sine * down, y + sine * across + cosine * down], -1)
    found = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return found.contiguous(memory_format=torch.channels_last)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator).mul_(high - low).add_(low)
