"""A run that was really trained, by an earlier release: its trials have weights and histories."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from metaqnn_orch.reporting.summary import RunView, read_run
from metaqnn_trainer.store.directory import DirectoryStore

RUN: Final = "finished"
_THERE: Final = Path(__file__).parents[1] / "fixtures" / "release-0.1" / "store"


def copied(folder: Path) -> tuple[DirectoryStore, RunView]:
    """A copy, which may be changed."""
    store = DirectoryStore(Path(shutil.copytree(_THERE, folder)))
    return store, read_run(store, RUN)
