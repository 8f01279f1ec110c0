"""Sums, means and spans of foreign data: whatever the input is, the result is a number."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Final

LARGEST: Final = sys.float_info.max


def finite(value: float) -> float:
    """`value`, or the largest number of its sign where it is too large for a float; 0 where it is not a number."""
    try:
        return min(max(float(value), -LARGEST), LARGEST) if value == value else 0.0
    except OverflowError:  # an int
        return LARGEST if value > 0 else -LARGEST


def mean(values: Sequence[float]) -> float:
    """The mean of at least one number. Unlike statistics.fmean this needs no sum that is larger than all of them."""
    return finite(sum(finite(value) / len(values) for value in values))


def seconds_between(earlier: str, later: str) -> float:
    """Seconds from one moment to another, both in ISO 8601; 0 where one of them is invalid, or the clock went back."""
    try:
        return max(0.0, (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds())
    except (ValueError, TypeError):  # one moment has a time zone and the other has none
        return 0.0
