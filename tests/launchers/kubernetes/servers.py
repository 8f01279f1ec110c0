"""The versions of Kubernetes on which the project is tested. tests/cluster ran on the oldest and on the newest."""

from __future__ import annotations

from typing import Final

OLDEST: Final = "1.28"
NEWEST: Final = "1.36"
SERVERS: Final = (OLDEST, "1.32", NEWEST)
"""Those whose schemas the objects are held against."""
