"""Augmentation moves pixels and invents none."""

from __future__ import annotations

import torch
from torch import Tensor

from metaqnn_trainer.images.augment import augmented


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 64, size: int = 6) -> Tensor:
    return torch.arange(1, count * 2 * size * size + 1, dtype=torch.float32).view(count, 2, size, size)


def test_nothing_asked_nothing_done() -> None:
    images = pictures()
    assert augmented(images, False, 0, generator()) is images


def test_mirroring_flips_about_half_of_the_images_as_a_whole() -> None:
    images = pictures(400)
    flipped = 0
    for before, after in zip(images, augmented(images, True, 0, generator()), strict=True):
        assert torch.equal(after, before) or torch.equal(after, before.flip(2))
        flipped += not torch.equal(after, before)
    assert 150 < flipped < 250


def test_translation_shows_each_image_through_a_window() -> None:
    images, moves = pictures(300, 5), set()
    moved = augmented(images, False, 2, generator())
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    for number, after in enumerate(moved):
        found = [
            (row, column)
            for row in range(5)
            for column in range(5)
            if torch.equal(padded[number, :, row : row + 5, column : column + 5], after)
        ]
        assert len(found) == 1
        moves.update(found)
    assert len(moves) == 25
    assert moved.shape == images.shape
    assert moved.is_contiguous(memory_format=torch.channels_last)


def test_a_translation_farther_than_the_image_is_wide() -> None:
    assert augmented(pictures(8, 2), True, 5, generator()).shape == (8, 2, 2, 2)


def test_the_same_generator_does_the_same() -> None:
    first, again = (augmented(pictures(), True, 2, generator(7)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, augmented(pictures(), True, 2, generator(8)))
