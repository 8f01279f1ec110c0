"""Sums and means of numbers that somebody else wrote: however large they are, what comes out is a number."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

LARGEST: Final = sys.float_info.max


def finite(value: float) -> float:
    """`value`, or the largest number of its sign where it is too large for any; 0 where it is none."""
    try:
        return min(max(float(value), -LARGEST), LARGEST) if value == value else 0.0
    except OverflowError:  # an int
        return LARGEST if value > 0 else -LARGEST


def mean(values: Sequence[float]) -> float:
    """Of at least one number; unlike statistics.fmean it needs no sum that is larger than all of them."""
    return finite(sum(finite(value) / len(values) for value in values))
