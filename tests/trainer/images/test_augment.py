"""Augmentation moves pixels and jitters colours, and does what its settings say."""

from __future__ import annotations

import torch
from torch import Tensor

from metaqnn_trainer.contract.messages import Recipe
from metaqnn_trainer.images.augment import augmented, jittered


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 64, size: int = 6) -> Tensor:
    return torch.arange(1, count * 2 * size * size + 1, dtype=torch.float32).view(count, 2, size, size)


def test_nothing_asked_nothing_done() -> None:
    images = pictures()
    assert augmented(images, Recipe(), generator()) is images


def test_mirroring_flips_about_half_of_the_images_as_a_whole() -> None:
    images = pictures(400)
    flipped = 0
    for before, after in zip(images, augmented(images, Recipe(mirror=True), generator()), strict=True):
        assert torch.equal(after, before) or torch.equal(after, before.flip(2))
        flipped += not torch.equal(after, before)
    assert 150 < flipped < 250


def test_translation_shows_each_image_through_a_window() -> None:
    images, moves = pictures(300, 5), set()
    moved = augmented(images, Recipe(translate=2), generator())
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
    assert augmented(pictures(8, 2), Recipe(mirror=True, translate=5), generator()).shape == (8, 2, 2, 2)


def test_cutout_blanks_a_square_whose_centre_is_in_the_image() -> None:
    images = torch.ones(400, 3, 8, 8)
    blank = augmented(images, Recipe(cutout=3), generator()) == 0
    assert (blank == blank[:, :1]).all()  # the same in every channel
    sizes = [(int(rows.sum()), int(columns.sum())) for rows, columns in zip(blank.any(3), blank.any(2), strict=True)]
    areas = blank[:, 0].sum((1, 2)).tolist()
    assert {*areas} == {9, 6, 4}  # whole, at an edge, in a corner
    assert {side for size in sizes for side in size} <= {6, 9}  # three channels of 2 or 3 rows
    assert torch.equal(images, torch.ones_like(images))  # the images themselves are not written to


def test_a_cutout_larger_than_the_image_blanks_all_of_it() -> None:
    assert not augmented(pictures(4), Recipe(cutout=50), generator()).any()


def test_a_crop_shows_a_part_of_the_image_enlarged() -> None:
    size = 16
    ramp = torch.arange(size, dtype=torch.float32).expand(500, 1, size, size)  # the value is the column
    cropped = augmented(ramp, Recipe(crop=0.25), generator())
    inner = cropped[:, 0, size // 2, 2:-2]
    steps = inner.diff(dim=1)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps), rtol=0, atol=1e-4)  # bilinear keeps a ramp
    assert 0.5 <= steps[:, 0].min() < 0.52  # a quarter of the area is half of the side
    assert 0.98 < steps[:, 0].max() <= 1.001
    assert inner.min() > 0
    assert inner.max() < size - 1
    assert cropped.is_contiguous(memory_format=torch.channels_last)


def test_a_rotation_turns_about_the_centre_and_no_farther_than_it_may() -> None:
    size = 33
    images = torch.zeros(300, 1, size, size)
    images[:, :, size // 2, size // 2 :] = 1  # a line from the centre to the right
    turned = augmented(images, Recipe(rotation=30.0), generator())
    assert (turned[:, 0, size // 2, size // 2] > 0.9).all()
    rows, columns = torch.meshgrid(torch.arange(size) - size // 2, torch.arange(size) - size // 2, indexing="ij")
    angles = torch.atan2(
        (turned[:, 0] * rows).sum((1, 2)).double(), (turned[:, 0] * columns).sum((1, 2)).double()
    ).rad2deg()
    assert angles.abs().max() < 31
    assert angles.min() < -25
    assert angles.max() > 25


def test_almost_no_crop_changes_almost_nothing() -> None:
    images = torch.rand(2, 3, 9, 9, generator=generator())
    nothing = augmented(images, Recipe(crop=0.999999999), generator())
    torch.testing.assert_close(nothing, images, rtol=0, atol=1e-4)


def test_colour_jitter_keeps_the_range_and_what_it_should() -> None:
    images = torch.randint(0, 256, (200, 3, 6, 6), dtype=torch.uint8, generator=generator())
    assert jittered(images, Recipe(mirror=True, crop=0.5), generator()) is images
    for recipe in (Recipe(brightness=1.0), Recipe(contrast=1.0), Recipe(saturation=1.0)):
        values = jittered(images, recipe, generator())
        assert values.min() >= 0
        assert values.max() <= 255
        assert not torch.equal(values, images.float())
    brighter = jittered(images, Recipe(brightness=0.2), generator())
    factors = brighter[:, 0, 0, 0] / images[:, 0, 0, 0]
    inside = images[:, 0, 0, 0] > 0
    assert 0.79 < factors[inside].min() < 0.85
    grey = torch.full((50, 3, 4, 4), 77, dtype=torch.uint8)  # nothing to contrast, no colour
    for recipe in (Recipe(contrast=1.0), Recipe(saturation=1.0)):
        torch.testing.assert_close(jittered(grey, recipe, generator()), grey.float(), rtol=0, atol=1e-3)


def test_contrast_works_on_any_number_of_channels() -> None:
    for channels in (1, 2, 3, 5):
        images = torch.randint(0, 256, (9, channels, 4, 4), dtype=torch.uint8, generator=generator())
        assert jittered(images, Recipe(contrast=0.5), generator()).shape == images.shape


EVERYTHING = Recipe(mirror=True, crop=0.5, rotation=20.0, translate=2, cutout=2, brightness=0.2, contrast=0.2)


def test_the_same_generator_does_the_same() -> None:
    for recipe in (Recipe(mirror=True, translate=2), EVERYTHING):
        first, again = (augmented(pictures(), recipe, generator(7)) for _ in range(2))
        assert torch.equal(first, again)
        assert not torch.equal(first, augmented(pictures(), recipe, generator(8)))
