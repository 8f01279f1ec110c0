"""One image file: what its header says, and its pixels as a dataset has them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from metaqnn_trainer.errors import DatasetError

IMAGE_SIZE: Final = 32  # of images that have different sizes, are no squares, or are larger than MAX_OWN_SIZE
MAX_OWN_SIZE: Final = 64  # size up to which images that all have one size keep it
_GRAY: Final = frozenset({"1", "L", "LA", "La"})
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by the orientation in its EXIF data."""


class Header(NamedTuple):
    """What the beginning of an image file says. The size is the file's, before the image is turned upright."""

    width: int
    height: int
    is_gray: bool


def size_for(sizes: Iterable[tuple[int, int]]) -> int:
    """The size of a dataset of one's own images with these widths and heights, where nobody chooses another: their own,
    if all are squares of one size up to 64, else 32. It is one rule for images from wherever.
    """
    width, height = next(iter(found)) if len(found := {*sizes}) == 1 else (0, 1)
    return width if width == height <= MAX_OWN_SIZE else IMAGE_SIZE


def read_header(path: Path) -> Header:
    """
    Raises:
        DatasetError: the text names the file, and why it cannot be used.
    """
    with _opened(path) as image:
        return Header(*image.size, image.mode in _GRAY)


def read_picture(path: Path, image_size: int, grayscale: bool) -> NDArray[np.uint8]:
    """The pixels (channels, image_size, image_size) of an image, turned upright, resized without regard to its
    proportions, and made RGB or gray.

    Raises:
        DatasetError: the text names the file, and why it cannot be used.
    """
    with _opened(path) as image:
        upright = _upright(image).convert("L" if grayscale else "RGB")
        pixels = _resized(upright, image_size)
    return pixels[None] if grayscale else np.ascontiguousarray(pixels.transpose(2, 0, 1))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large images, and of EXIF data that is damaged
            with Image.open(path) as image:
                if image.mode.startswith(("I", "F")):
                    raise DatasetError(f"{path} has more than 8 bits in a channel; convert it first")
                yield image
    except DatasetError:
        raise
    except FileNotFoundError as error:
        raise DatasetError(f"{path} cannot be read as an image: it is a link to a file that does not exist") from error
    except Exception as error:  # Pillow may raise almost any exception for a damaged file
        cause = "it is not one" if isinstance(error, UnidentifiedImageError) else str(error)
        raise DatasetError(f"{path} cannot be read as an image: {cause or type(error).__name__}") from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data raise almost anything, and the pixels may be whole
        turn = None
    return image if turn is None else image.transpose(turn)


def _resized(image: Image.Image, image_size: int) -> NDArray[np.uint8]:
    # Rows first, then columns: some releases of Pillow choose another order, and then round otherwise. Exported nets do
    # the same (images/resize.py).
    rows = image.resize((image_size, image.height), Image.Resampling.BILINEAR)
    return np.asarray(rows.resize((image_size, image_size), Image.Resampling.BILINEAR))


def resized(images: NDArray[np.uint8], image_size: int) -> NDArray[np.uint8]:
    """Gray images (n, 1, height, width) resized to (n, 1, image_size, image_size) as files are."""
    if images.shape[2:] == (image_size, image_size):
        return images
    shape = (len(images), 1, image_size, image_size)
    sized = [_resized(Image.fromarray(image), image_size) for image in images[:, 0]]
    return np.array(sized, np.uint8).reshape(shape)
