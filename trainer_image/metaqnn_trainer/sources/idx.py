"""MNIST and Fashion-MNIST from their IDX files."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import LabelledImages, Source

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


def read_idx_set(kind: IdxSet, directory: Path) -> Source:
    """The dataset in four files, gzipped or not, from `directory` itself or from torchvision's folder in it.

    Raises:
        DatasetError: the text names the file, and what is wrong with it.
    """
    train, test = (_read_part(kind, directory, part) for part in ("train", "t10k"))
    return Source(train, test, kind.class_names, f"{kind.title}, from its IDX files")


def _read_part(kind: IdxSet, directory: Path, part: str) -> LabelledImages:
    images_path = _find(kind, directory, f"{part}-images-idx3-ubyte")
    labels_path = _find(kind, directory, f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(images_path, IMAGES_MAGIC), read_idx(labels_path, LABELS_MAGIC)
    if len(images) != len(labels):
        raise DatasetError(f"{images_path} has {len(images)} images, but {labels_path.name} {len(labels)} labels")
    return LabelledImages(images[:, None], labels.astype(np.int64))


def _find(kind: IdxSet, directory: Path, name: str) -> Path:
    names = [name, f"{name}.gz"]
    for folder in (directory, directory / kind.folder / "raw", directory / "raw"):
        for candidate in (folder / name for name in names):
            if candidate.is_file():
                return candidate
    raise DatasetError(
        f"{directory} holds neither {name} nor {name}.gz, nor a folder {kind.folder}/raw with them; "
        f"{kind.title} is: {FILES}"
    )


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
