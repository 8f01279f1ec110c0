"""What every source gives: labelled images, and the names of their classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Report = Callable[[str], None]
"""Takes one line about the progress."""


class Labelled(NamedTuple):
    """`images` (n, channels, size, size) uint8 and `labels` (n) int64."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def take(self, indices: NDArray[np.int64]) -> Labelled:
        return Labelled(self.images[indices], self.labels[indices])


class Source(NamedTuple):
    """A whole set; `test` may be empty. `text` says in words where it comes from, the same on every machine."""

    train: Labelled
    test: Labelled
    class_names: list[str]
    text: str
