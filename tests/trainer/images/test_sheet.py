"""A sheet has its images in rows, each as large as it can be seen."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from metaqnn_trainer.artifacts import checked_picture
from metaqnn_trainer.images.sheet import sheet


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_images_lie_in_rows(channels: int, mode: str) -> None:
    images = torch.arange(7, dtype=torch.uint8)[:, None, None, None].expand(7, channels, 20, 20).contiguous()
    images[:, 0, 0, 0] = 255  # a corner
    data = checked_picture("sheet", sheet(images, 3))
    with Image.open(io.BytesIO(data)) as found:
        assert (found.format, found.size, found.mode) == ("PNG", (3 * 40, 2 * 40), mode)
        pixels = np.asarray(found)
    for number in range(6):
        row, column = divmod(number, 3)
        part = pixels[40 * row : 40 * row + 40, 40 * column : 40 * column + 40].reshape(40, 40, channels)
        assert (part[:2, :2, 0] == 255).all()
        assert (part[2:, :] == number).all()


def test_large_images_keep_their_size() -> None:
    with Image.open(io.BytesIO(sheet(torch.zeros(4, 1, 64, 64, dtype=torch.uint8), 2))) as found:
        assert found.size == (128, 128)
