"""Many small images as one picture, for `Task.pictures`."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from PIL import Image
from torch import Tensor

_IMAGE: Final = 40  # pixels, about, of an image in a sheet: smaller ones are enlarged


def sheet(images: Tensor, columns: int) -> bytes:
    """A PNG file of images (n, channels, size, size) uint8, in rows of `columns`; a last row that is not full is left
    out. Images with three channels have colours; of others the first channel is seen.
    """
    factor = max(1, _IMAGE // images.shape[-1])
    larger = images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    rows = larger[: len(images) // columns * columns].unflatten(0, (-1, columns))  # (rows, columns, channels, y, x)
    pixels = rows.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1).cpu().numpy()
    picture = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
    picture.save(file := BytesIO(), "png")
    return file.getvalue()
