"""The dataset object: one immutable safetensors file, described by its own header.

Its tensors may have any names and types; the task reads them. Those of classified images (square, uint8, NCHW):
    train_images, train_labels (int64)      all examples of training and validation
    train_indices, val_indices (int64)      the stratified split of the above
    test_images, test_labels                possibly empty
    mean, std (float32, per channel)        over train_indices, of values in [0, 1]

The header carries `info`, the JSON of DatasetInfo, so that its first kibibytes contain everything but the examples.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Final, NamedTuple

from pydantic import Field

from metaqnn_trainer.contract.codec import Message, decode
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.keys import DIGEST_PATTERN, NAME_PATTERN
from metaqnn_trainer.contract.messages import DatasetRef

_Fact = (
    Annotated[str, Field(max_length=1000)]
    | Annotated[int, Field(ge=-(2**63), lt=2**63)]
    | Annotated[float, Field(ge=-1e300, le=1e300)]
)
HEADER_BYTES: Final = 1 << 20  # bytes that are read of an object to learn what it is
_NAME, _DIGEST = NAME_PATTERN.strip("^$"), DIGEST_PATTERN.strip("^$")
_KEY: Final = re.compile(rf"datasets/(?P<name>{_NAME})-(?P<digest>{_DIGEST})\.safetensors")


class Images(NamedTuple):
    """Images with classes: their size, channels and classes."""

    channels: int
    size: int
    classes: int


KNOWN: Final = {
    "digits": Images(1, 8, 10),
    "mnist": Images(1, 28, 10),
    "fashion-mnist": Images(1, 28, 10),
    "cifar10": Images(3, 32, 10),
    "cifar100": Images(3, 32, 100),
    "svhn": Images(3, 32, 10),
}
"""What is known of the built-in datasets before their objects are made."""


class DatasetInfo(Message):
    """What a dataset is, apart from its examples."""

    name: str = Field(pattern=NAME_PATTERN)
    channels: int | None = Field(None, ge=1, le=64)
    """Only for images."""
    image_size: int | None = Field(None, ge=1, le=4096)
    """Only for images."""
    classes: int | None = Field(None, ge=2, le=65_536)
    """Number of classes, if the dataset has classes."""
    class_names: list[Annotated[str, Field(max_length=HEADER_BYTES)]] = Field([], max_length=65_536)
    train: int = Field(ge=1, le=10**9)
    validation: int = Field(ge=1, le=10**9)
    test: int = Field(ge=0, le=10**9)
    source: str = Field(max_length=500)
    """Source of the examples, in words."""
    facts: dict[Annotated[str, Field(max_length=100)], _Fact] = Field({}, max_length=50)
    """Further facts that a task needs before it reads the examples."""

    def images(self) -> Images:
        """The size, channels and classes of the images.

        Raises:
            MessageError: it has no images, or they have no classes.
        """
        if self.channels is None or self.image_size is None or self.classes is None:
            raise MessageError(f"the dataset {self.name} has no images with classes")
        return Images(self.channels, self.image_size, self.classes)

    def text(self) -> str:
        """The JSON in the header. Fields with their defaults are left out: so an object keeps the digest that it had
        before a field was introduced.
        """
        return self.model_dump_json(exclude_defaults=True)


def known_info(name: str) -> DatasetInfo | None:
    """What is known of a built-in dataset before its object is made, or None where it is none. Its numbers of examples
    are not known, and are the smallest valid ones.
    """
    if (known := KNOWN.get(name)) is None:
        return None
    channels, size, classes = known
    return DatasetInfo(
        name=name, channels=channels, image_size=size, classes=classes, train=1, validation=1, test=0, source="built in"
    )


def object_digest(data: bytes) -> str:
    """The digest in a dataset's name: the first 16 hexadecimal digits of the sha256 of the whole object."""
    return hashlib.sha256(data).hexdigest()[:16]


def ref_of_key(key: str) -> DatasetRef | None:
    """The dataset that an object key names, or None where the key is not a dataset's."""
    match = _KEY.fullmatch(key)
    return DatasetRef(name=match["name"], digest=match["digest"]) if match else None


def read_info(head: bytes, what: str) -> DatasetInfo:
    """DatasetInfo from the first bytes of a dataset object. (safetensors: 8 bytes of little-endian length, then JSON.)

    Raises:
        MessageError: the bytes are not those of a dataset object.
    """
    length = int.from_bytes(head[:8], "little")
    if not 2 <= length <= min(len(head) - 8, HEADER_BYTES):
        raise MessageError(f"{what} is not a dataset object: no safetensors header")
    try:
        info = json.loads(head[8 : 8 + length])["__metadata__"]["info"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise MessageError(f"{what} is not a dataset object: its header has no info") from None
    return decode(DatasetInfo, str(info), what)
