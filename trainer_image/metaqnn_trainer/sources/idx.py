"""Images in classes from four IDX files: MNIST, Fashion-MNIST, and others of their form."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import LabelledImages, Report, Source

IMAGES_MAGIC: Final = 0x0803  # unsigned bytes, three dimensions
LABELS_MAGIC: Final = 0x0801
MAX_BYTES: Final = 1 << 32


class IdxSet(NamedTuple):
    """A dataset of four IDX files."""

    title: str
    folder: str
    """Name of torchvision's folder for it."""
    class_names: list[str]


FILES: Final = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"


# The original names, Kaggle's with a dot in place of a hyphen, and EMNIST's with words before them.
_NAME: Final = re.compile(
    r"(?P<words>.*[-_.])?(?P<part>train|t10k|test)[-_.](?P<kind>images|labels)[-_.]idx[13][-_.]ubyte(\.gz)?"
)


def read_idx_set(kind: IdxSet, directory: Path) -> Source:
    """The dataset in four files, gzipped or not, from `directory` itself or from torchvision's folder in it.

    Raises:
        DatasetError: the text names the file, and what is wrong with it.
    """
    folders = (directory, directory / kind.folder / "raw", directory / "raw")

    def found(part: str, of: str) -> Path:
        path, name = _find(folders, part, of), f"{part}-{of}-idx{3 if of == 'images' else 1}-ubyte"
        if path is None:
            raise DatasetError(
                f"{directory} holds neither {name} nor {name}.gz, nor a folder {kind.folder}/raw with them; "
                f"{kind.title} is: {FILES}"
            )
        return path

    train, test = (_read_part(found(part, "images"), found(part, "labels")) for part in ("train", "t10k"))
    return Source(train, test, kind.class_names, f"{kind.title}, from its IDX files")


def has_idx_files(directory: Path) -> bool:
    """Whether a folder holds images for training in an IDX file."""
    return directory.is_dir() and _find((directory, directory / "raw"), "train", "images") is not None


def read_own_idx(directory: Path, image_size: int | None, report: Report) -> Source:
    """One's own images in IDX files, named as MNIST's; a test part need not be there. The classes are the labels that
    occur in training. Without `image_size` the images get the size that size_for says.

    Raises:
        DatasetError: the text names the file, and what is wrong with it.
    """
    from metaqnn_trainer.sources.picture import resized, size_for

    train, test = (_own_part(directory, part) for part in ("train", "t10k"))
    if train is None:
        raise DatasetError(f"{directory} holds no labels for the images to train on: train-labels-idx1-ubyte")
    if test is None:
        test = train.take(np.empty(0, np.int64))
    classes = np.unique(train.labels)
    if strange := sorted({*test.labels.tolist()} - {*classes.tolist()}):
        raise DatasetError(f"{directory}: the test part has the label {strange[0]}, which training does not have")
    height, width = train.images.shape[2:]
    size = image_size or size_for([(width, height)])
    report(
        f"{directory}: IDX files with {amount(len(train.labels), 'image')} to train on, and {len(test.labels):,} for "
        "the test"
    )
    other = "" if image_size else "; --image-size N chooses another size"
    report(f"the images become {size}x{size}, gray: they are {width}x{height}{other}")
    parts = [
        LabelledImages(resized(part.images, size), np.searchsorted(classes, part.labels)) for part in (train, test)
    ]
    return Source(parts[0], parts[1], [str(label) for label in classes], f"IDX files, resized to {size}x{size}, gray")


def _own_part(directory: Path, part: str) -> LabelledImages | None:
    images, labels = (_find((directory, directory / "raw"), part, of) for of in ("images", "labels"))
    return _read_part(images, labels) if images is not None and labels is not None else None


def _read_part(images_path: Path, labels_path: Path) -> LabelledImages:
    images, labels = read_idx(images_path, IMAGES_MAGIC), read_idx(labels_path, LABELS_MAGIC)
    if len(images) != len(labels):
        raise DatasetError(
            f"{images_path} has {amount(len(images), 'image')}, but {labels_path.name} {amount(len(labels), 'label')}"
        )
    return LabelledImages(images[:, None], labels.astype(np.int64))


def _find(folders: Sequence[Path], part: str, of: str) -> Path | None:
    """The file of that part in the first folder that has one: the file itself, or that in a folder of its name. Names
    without further words come first, and files that are not gzipped.

    Raises:
        DatasetError: there are several, and nothing says which is meant.
    """
    parts = ("t10k", "test") if part == "t10k" else (part,)
    for folder in folders:
        found: dict[str, Path] = {}
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            match = _NAME.fullmatch(path.name)
            if match is None or match["part"] not in parts or match["kind"] != of or path.name.startswith("."):
                continue
            inside = path / path.name
            if (file := inside if path.is_dir() else path).is_file():
                found.setdefault(match["words"] or "", file)
        if "" in found or len(found) == 1:
            return found.get("") or next(iter(found.values()))
        if found:
            names = ", ".join(path.name for path in found.values())
            raise DatasetError(f"{folder} has several files for {part} {of}: {names}; keep one set in it")
    return None


def read_idx(path: Path, magic: int) -> NDArray[np.uint8]:
    """The array in an IDX file: a magic number, the dimensions as big-endian 32-bit numbers, then the bytes.

    Raises:
        DatasetError: names the file and what is wrong with it.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else path.open("rb") as file:
            header = file.read(4 + 4 * (magic & 0xFF))
            found = int.from_bytes(header[:4], "big")
            if found != magic or len(header) < 4 + 4 * (magic & 0xFF):
                raise DatasetError(
                    f"{path} is not an IDX file of this kind: it begins with {found:#010x}, not {magic:#010x}"
                )
            shape = tuple(int(length) for length in np.frombuffer(header, ">u4", offset=4))
            expected = math.prod(shape)
            if expected > MAX_BYTES:
                raise DatasetError(f"{path} claims to have {' x '.join(map(str, shape))} bytes, which cannot be")
            data = file.read(expected + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    if len(data) != expected:
        relation = "is truncated: it holds" if len(data) < expected else "is too long: it holds more than"
        raise DatasetError(f"{path} {relation} {min(len(data), expected)} of the {expected} bytes that it announces")
    return np.frombuffer(data, np.uint8).reshape(shape)
