"""The present moment, as runs write it down."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """In ISO 8601, to the millisecond, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
