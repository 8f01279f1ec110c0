"""What the pages say beside their numbers: what was tuned on what."""

from __future__ import annotations

from typing import Final

NOTES: Final[dict[str, str]] = {}
