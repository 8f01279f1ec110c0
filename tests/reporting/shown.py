"""Shows a whole run in trackers, as `track` does."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from metaqnn_orch.application.run_files import RunFiles
from metaqnn_orch.reporting.summary import read_run
from metaqnn_orch.reporting.tracking import TrackerOfRun, show_run
from metaqnn_trainer.store.base import Store

NO_TRAINER: Final = (sys.executable, "-c", "raise SystemExit('no torch here')")
"""A trainer that exports nothing, at once: with it the best net comes without a model card."""


def show(store: Store, makers: Sequence[TrackerOfRun], said: list[str] | None = None) -> int:
    """The number of trials of the run `test`; `said` is given what is left out."""
    view = read_run(store, "test")
    lines: list[str] = [] if said is None else said
    return show_run(store, view, makers, RunFiles(store, view, lines.append, NO_TRAINER))
