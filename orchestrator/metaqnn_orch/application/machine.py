"""What this machine keeps of the runs that it works on: what their searches and trainers have said.

It is in the folder for the state of programs ($XDG_STATE_HOME, or ~/.local/state), and only for people: a run needs
nothing of it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_DIGEST: Final = 8  # characters


def folder_of(store: str, run: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of a run of the store at this address. It may not exist."""
    said = environment.get("XDG_STATE_HOME", "")
    base = Path(said) if said.startswith("/") else Path(environment.get("HOME") or "/") / ".local" / "state"
    digest = hashlib.sha256(store.rstrip("/").encode()).hexdigest()[:_DIGEST]
    return base / "metaqnn-orch" / f"{run}-{digest}"


def lines_of(store: str, run: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of what the run's trainers have said on this machine."""
    return folder_of(store, run, environment) / "trials"
