"""Finds what people name by its first characters."""

from __future__ import annotations

import re
from typing import Final

from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import BadInput, NotFound
from metaqnn_orch.next_command import next_command
from metaqnn_orch.reporting.summary import RunView

SHOWN: Final = 5  # candidates that an error names

_BEGINNING: Final = re.compile(r"[0-9a-f]{1,12}")


def find_trial(view: RunView, text: str, store: str) -> Trial:
    """The trial of the run in the store at this address whose id is `text`, or the only one whose id begins with it.

    Raises:
        BadInput: no id of a trial begins so, or the ids of several trials do.
        NotFound: the run has no such trial.
    """
    run, trials = view.record.run, view.state.trials
    lists = f"{next_command(f'trials {run}', store)} lists them"
    if not _BEGINNING.fullmatch(text):
        raise BadInput(f"{text[:40]!r} is no trial id: an id has up to twelve of 0-9 and a-f", lists)
    found = [trials[text]] if text in trials else [trial for name, trial in trials.items() if name.startswith(text)]
    if not found:
        raise NotFound(f"run {run} has no trial {text!r}", hint=lists)
    if len(found) > 1:
        named = ", ".join(trial.trial for trial in found[:SHOWN]) + (", ..." if len(found) > SHOWN else "")
        raise BadInput(f"{text} is the beginning of {len(found)} trials of run {run}: {named}", hint="add a character")
    return found[0]
