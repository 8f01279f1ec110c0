"""A user's own images: one folder for each class."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import LabelledImages, Report, Source
from metaqnn_trainer.sources.split import stratified

TEST_SHARE: Final = 0.15  # share of the images for the test, where the folder has no test part
SUFFIXES: Final = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def read_folder(directory: Path, image_size: int, grayscale: bool, report: Report) -> Source:
    """DIR/train/<class>/* with an optional DIR/test/<class>/*, or DIR/<class>/*, of which a part becomes the test set.

    Images are turned upright, resized to `image_size` without regard to their proportions, and made RGB or gray.
    Files without an image's ending are skipped; a file with such an ending that cannot be read is an error.

    Raises:
        DatasetError: the text names the folder or file, and what is wrong with it.
    """
    if not directory.is_dir():
        raise DatasetError(f"{directory} is not a directory; it must contain one folder of images for each class")
    parted = (directory / "train").is_dir()
    root = directory / "train" if parted else directory
    names = _class_names(root)
    if len(names) < 2:
        found = f"only the class {names[0]!r}" if names else "no folders"
        raise DatasetError(
            f"{root} contains {found}, but must contain one folder of images for each class, at least two"
        )
    train = _read_classes(root, names, image_size, grayscale, report)
    test = train.take(np.empty(0, np.int64))
    if (directory / "test").is_dir() and parted:
        strange = sorted(set(_class_names(directory / "test")) - set(names))
        if strange:
            raise DatasetError(f"{directory / 'test'} holds the class {strange[0]!r}, which {root} does not")
        test = _read_classes(directory / "test", names, image_size, grayscale, report)
    elif not parted:
        kept, held_back = stratified(train.labels, round(TEST_SHARE * len(train.labels)))
        train, test = train.take(kept), train.take(held_back)
    colour = "gray" if grayscale else "RGB"
    return Source(train, test, names, f"a folder of images, resized to {image_size}x{image_size}, {colour}")


def _class_names(root: Path) -> list[str]:
    names = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    for name in names:
        if not name.isprintable():
            raise DatasetError(f"the folder {name!r} in {root} cannot be the name of a class")
    return names


def _read_classes(root: Path, names: list[str], image_size: int, grayscale: bool, report: Report) -> LabelledImages:
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        if (root / name).is_dir():
            files = sorted(path for path in (root / name).iterdir() if path.suffix.lower() in SUFFIXES)
            report(f"{root / name}: {len(files)} images")
            images.extend(_read_image(path, image_size, grayscale) for path in files)
            labels.extend([label] * len(files))
    if not images:
        raise DatasetError(f"{root} contains no images ({', '.join(sorted(SUFFIXES))})")
    return LabelledImages(np.stack(images), np.array(labels, dtype=np.int64))


def _read_image(path: Path, image_size: int, grayscale: bool) -> NDArray[np.uint8]:
    """(channels, image_size, image_size)"""
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise DatasetError(f"{path} has more than 8 bits in a channel; convert it first")
            upright = ImageOps.exif_transpose(image).convert("L" if grayscale else "RGB")
            # Rows first, then columns: some releases of Pillow choose another order, and then round otherwise. Exported
            # nets do the same (images/resize.py).
            rows = upright.resize((image_size, upright.height), Image.Resampling.BILINEAR)
            pixels = np.asarray(rows.resize((image_size, image_size), Image.Resampling.BILINEAR))
    # Pillow may raise almost any exception for a damaged file.
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path} cannot be read as an image: {error}") from error
    return pixels[None] if grayscale else np.ascontiguousarray(pixels.transpose(2, 0, 1))
