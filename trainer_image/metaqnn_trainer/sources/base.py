"""What a source returns: labelled images and the names of their classes, or any other tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Report = Callable[[str], None]
"""A function that takes one line about the progress."""


class LabelledImages(NamedTuple):
    """`images` (n, channels, size, size) uint8 and `labels` (n) int64."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def take(self, indices: NDArray[np.int64]) -> LabelledImages:
        return LabelledImages(self.images[indices], self.labels[indices])


class Source(NamedTuple):
    """A whole dataset; `test` may be empty. `text` says in words where it comes from, the same on every machine."""

    train: LabelledImages
    test: LabelledImages
    class_names: list[str]
    text: str
    validation: LabelledImages | None = None
    """The part for validation; where the source has none, a part of `train` is taken."""


class Examples(NamedTuple):
    """A dataset of anything but images in classes, already split; its task defines the names of its tensors."""

    tensors: Mapping[str, NDArray[Any]]
    info: Mapping[str, Any]
    """Fields of DatasetInfo: `train`, `validation`, `test`, `source`, and any further ones."""


Read = Callable[[Path | None, Report], Source | Examples]
"""A source: a function that reads a path, or where there is none, a place that it knows."""
