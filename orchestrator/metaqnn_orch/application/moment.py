"""The present moment, in the format that runs use."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """The present moment in ISO 8601, to the millisecond, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
