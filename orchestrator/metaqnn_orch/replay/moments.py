"""Reads the moments that stand in replay databases: the authors wrote seconds, and others whatever they had."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from metaqnn_orch.replay.format import is_number

UNKNOWN: Final = datetime.fromtimestamp(0, UTC)
"""The moment of what has none: the authors' record has 0.0 there."""

_NONE: Final = frozenset({"", "-", "-1", "-1.0", "nan", "nat", "na", "n/a", "none", "null", "unknown"})
_LATEST: Final = 1e11  # seconds: the year 5138; larger numbers count milliseconds, microseconds or nanoseconds
_UNITS: Final = (1, 1e3, 1e6, 1e9)
_DATE: Final = re.compile(r"([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})(.*)", re.DOTALL)
_ZONE: Final = re.compile(r" ?(UTC|GMT)$")


def read_moment(text: str) -> datetime:
    """The moment that a text names: UNKNOWN where it says that there is none. A time without a zone is UTC.

    It may be a number of seconds since 1970 (or of milliseconds, microseconds or nanoseconds, which are larger), a time
    in ISO 8601 or with blanks in it, or one as `date`, C and mail write it.

    Raises:
        ValueError: it is none of these, or not between the years 1 and 9999.
    """
    text = text.strip()
    if text.lower() in _NONE:
        return UNKNOWN
    if is_number(text):
        return _counted(float(text))
    if match := _DATE.fullmatch(text):
        year, month, day, rest = match.groups()
        text = f"{year}-{month:>02}-{day:>02}{_ZONE.sub('+00:00', rest)}"
    found = None
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
    found = found or parsedate_to_datetime(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _counted(number: float) -> datetime:
    try:
        return datetime.fromtimestamp(next(number / unit for unit in _UNITS if abs(number) / unit < _LATEST), UTC)
    except (StopIteration, OverflowError, OSError):
        raise ValueError(f"{number:g} is no number of seconds since 1970") from None
