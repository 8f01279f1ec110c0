"""Which classes are taken for which: counts, and what they say of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

from pydantic import Field

MAX_CONFUSION: Final = 100
"""Number of classes up to which counts are kept: those of more classes would not fit into a message."""

Confusion = Annotated[
    list[Annotated[list[Annotated[int, Field(ge=0, le=10**9)]], Field(max_length=MAX_CONFUSION)]],
    Field(max_length=MAX_CONFUSION),
]
"""Number of images of each class (rows) that were taken for each class (columns)."""


class OfClass(NamedTuple):
    """The images of one class, and what they were taken for."""

    label: int
    images: int
    accuracy: float | None
    """Share of them that were classified correctly; None where there are none."""
    mistaken: int | None
    """The other class that most of them were taken for; None where all were classified correctly."""
    mistakes: int
    """How many were taken for that class."""


def by_class(counts: Sequence[Sequence[int]]) -> list[OfClass]:
    """What the counts of a square matrix say of each class."""
    found = []
    for label, row in enumerate(counts):
        total, right = sum(row), row[label]
        mistakes, other = max((count, -column) for column, count in enumerate([*row[:label], 0, *row[label + 1 :]]))
        found.append(OfClass(label, total, right / total if total else None, -other if mistakes else None, mistakes))
    return found
