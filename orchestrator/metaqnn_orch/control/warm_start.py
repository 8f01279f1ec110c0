"""Begins a run with what another run has learned: the other run's replay memory is copied into this run's journal.

The copy makes the run independent of the other one, which may go on or be deleted. And resuming remains a fold of the
journal alone.
"""

from __future__ import annotations

from metaqnn_orch.control.events import Recalled
from metaqnn_orch.control.objective import in_words
from metaqnn_orch.control.record import load_record
from metaqnn_orch.control.resume import resume
from metaqnn_orch.errors import BadInput, RunConflict
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.errors import ContractError
from metaqnn_trainer.spaces.base import IllegalDesign
from metaqnn_trainer.store.base import Store


def recall(store: Store, run: str, settings: Settings, *, rehearsal: bool) -> Recalled | None:
    """The presentations that `run` begins with, if its settings name another run. Nets that this run's space does not
    hold are left out and counted; where the number of classes differs, nets get this run's number.

    Raises:
        NotFound: there is no such run.
        BadInput: it has told its agent of no net that can be used, or it is this run.
        RunConflict: a table answered there, and here nets are trained; or rewards mean another thing there.
    """
    other = settings.warm_start.run
    if other is None:
        return None
    if other == run:
        raise BadInput(
            f"run {run} cannot start from its own results", hint="--warm-start-from names another run of the store"
        )
    record = load_record(store, other)
    if record.table is not None and not rehearsal:
        raise RunConflict(f"run {other!r} is a rehearsal: a search cannot start from results of a table")
    theirs = record.settings_to_read()
    if (theirs.task.name, theirs.objective) != (settings.task.name, settings.objective):
        raise RunConflict(
            f"run {other!r} has another kind of reward: {theirs.task.name}, {in_words(theirs.objective)}; this run "
            f"has {settings.task.name}, {in_words(settings.objective)}"
        )
    state, _ = resume(store, record, theirs, learning=False)
    space = settings.state_space()
    rows, refused = [], 0
    for trial in state.presented:
        assert trial.reward is not None
        try:
            adapted = space.adapted(trial.net)
            space.walk(adapted)
        except (IllegalDesign, ContractError):
            refused += 1
        else:
            rows.append((adapted, trial.reward))
    if not rows:
        raise BadInput(
            f"a search cannot start from run {other}: none of its {refused} nets is in this space"
            if refused
            else f"run {other} has not trained any net yet"
        )
    return Recalled(run=other, rows=tuple(rows), refused=refused)
