"""An exported net resizes images to the very bytes that training had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metaqnn_trainer.images.dataset import parse_dataset, resized, resizing
from metaqnn_trainer.images.resize import fitted, pushed
from metaqnn_trainer.sources.make import make_dataset

SHAPES = [(1, 1), (1, 9), (20, 17), (33, 31), (64, 48), (48, 64), (480, 333), (31, 1024), (1024, 31), (100, 50)]


def noise(height: int, width: int, channels: int = 3) -> torch.Tensor:
    random = np.random.default_rng(height * 10_000 + width)
    return torch.from_numpy(random.integers(0, 256, (1, channels, height, width), dtype=np.uint8))


@pytest.mark.parametrize("size", [1, 28, 32, 75])
def test_the_bytes_are_pillows(size: int) -> None:
    for shape in SHAPES:
        images = noise(*shape)
        picture = Image.fromarray(images[0].permute(1, 2, 0).numpy())
        rows = picture.resize((size, shape[0]), Image.Resampling.BILINEAR)
        expected = np.asarray(rows.resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        assert np.array_equal(pushed(images, size)[0].numpy(), expected), shape


@pytest.mark.parametrize("grayscale", [False, True])
def test_the_bytes_are_those_of_a_pushed_folder(grayscale: bool, tmp_path: Path) -> None:
    """Photos of many shapes, pushed, and then as their files are."""
    for label in ("cats", "dogs"):
        (tmp_path / label).mkdir()
        for number, shape in enumerate(SHAPES):
            Image.fromarray(noise(*shape)[0].permute(1, 2, 0).numpy()).save(tmp_path / label / f"{number:02}.png")
    made = make_dataset("pets", tmp_path, image_size=24, grayscale=grayscale)
    dataset = parse_dataset(made.data, "pets")
    parts = (dataset.train, dataset.validation, dataset.test)
    stored = {image.numpy().tobytes() for part in parts for image in part.images}
    found = set()
    for shape in SHAPES:
        picture = Image.fromarray(noise(*shape)[0].permute(1, 2, 0).numpy()).convert("L" if grayscale else "RGB")
        pixels = torch.from_numpy(np.array(picture))
        images = pixels[None, None] if grayscale else pixels.permute(2, 0, 1)[None]
        found.add(fitted(images, 24, 24, None)[0].to(torch.uint8).numpy().tobytes())
    assert found == stored


@pytest.mark.parametrize(("made", "size"), [(32, 28), (28, 32), (30, 17), (64, 48)])
def test_the_searchs_own_resizing_follows_unless_it_is_done(made: int, size: int) -> None:
    images = torch.cat([noise(made, made), noise(made, made).flip(2)])
    expected = resized(images, size)
    other = noise(97, 55)
    for matrix in (None, resizing(made, size)):
        assert torch.equal(fitted(images, made, size, matrix), expected.float())
        assert torch.equal(fitted(expected, made, size, matrix), expected.float())
        found = fitted(other, made, size, matrix)
        assert torch.equal(found, resized(pushed(other, made).to(torch.uint8), size).float())
