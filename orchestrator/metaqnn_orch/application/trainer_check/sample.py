"""A dataset object for checks: a few dozen images in three classes that any trainer can tell apart.

Its bytes are written by hand, so that no heavy library is needed: a safetensors file is a length, a JSON header, and
the numbers.
"""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

from metaqnn_trainer.contract.dataset import DatasetInfo, object_digest
from metaqnn_trainer.contract.messages import DatasetRef

CLASSES: Final = 3
SIZE: Final = 8
TRAIN: Final = 48
VALIDATION: Final = 12
TEST: Final = 12

_NAME: Final = "check"
_FORMATS: Final = {"U8": "B", "I64": "q", "F32": "f"}


class Sample(NamedTuple):
    """A dataset object and its name."""

    ref: DatasetRef
    info: DatasetInfo
    data: bytes


@cache
def sample() -> Sample:
    """The dataset object, with the same bytes every time."""
    info = DatasetInfo(
        name=_NAME,
        channels=1,
        image_size=SIZE,
        classes=CLASSES,
        class_names=["left", "middle", "right"],
        train=TRAIN,
        validation=VALIDATION,
        test=TEST,
        source="made by metaqnn-orch trainer check: bright bars at three places, with noise",
    )
    noise = random.Random(0)
    total = TRAIN + VALIDATION
    labels = [number % CLASSES for number in range(total + TEST)]
    images = [_image(label, noise) for label in labels]
    seen = [pixel / 255 for image in images[:TRAIN] for pixel in image]
    mean = sum(seen) / len(seen)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in seen) / len(seen))
    tensors: dict[str, tuple[str, tuple[int, ...], Sequence[float]]] = {
        # The wider numbers come first, so that all of them are aligned.
        "test_labels": ("I64", (TEST,), labels[total:]),
        "train_indices": ("I64", (TRAIN,), range(TRAIN)),
        "train_labels": ("I64", (total,), labels[:total]),
        "val_indices": ("I64", (VALIDATION,), range(TRAIN, total)),
        "mean": ("F32", (1,), [mean]),
        "std": ("F32", (1,), [deviation]),
        "test_images": ("U8", (TEST, 1, SIZE, SIZE), [pixel for image in images[total:] for pixel in image]),
        "train_images": ("U8", (total, 1, SIZE, SIZE), [pixel for image in images[:total] for pixel in image]),
    }
    data = _safetensors(tensors, {"info": info.text()})
    return Sample(DatasetRef(name=_NAME, digest=object_digest(data)), info, data)


def _image(label: int, noise: random.Random) -> list[int]:
    """SIZE x SIZE bytes: an image with a bar of two bright columns, whose place is the class."""
    bar = (2 * label + 1, 2 * label + 2)
    return [noise.randrange(60) + 180 * (column in bar) for _ in range(SIZE) for column in range(SIZE)]


def _safetensors(tensors: dict[str, tuple[str, tuple[int, ...], Sequence[float]]], metadata: dict[str, str]) -> bytes:
    """A safetensors file of these tensors, each given by its type, its shape and its numbers, rows first."""
    header: dict[str, object] = {"__metadata__": metadata}
    body = b""
    for name, (kind, shape, numbers) in tensors.items():
        packed = struct.pack(f"<{len(numbers)}{_FORMATS[kind]}", *numbers)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(body), len(body) + len(packed)]}
        body += packed
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the numbers begin at an aligned address
    return struct.pack("<Q", len(text)) + text + body
