"""Resumes a run from its store: the newest snapshot that can be used, then the journal from there on."""

from __future__ import annotations

from metaqnn_orch.control import snapshot
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.state import RunState
from metaqnn_orch.errors import RunConflict
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.base import Store


def resume(
    store: Store, record: RunRecord, settings: Settings, session: str = "", *, learning: bool = True
) -> tuple[RunState, Journal]:
    """The run's state, and its journal read to the end, to be appended to by `session`. Without `learning` the state
    has no searcher, and is read in a fraction of the time.

    Raises:
        JournalError: the journal is damaged.
        RunConflict: the run began with an import that was cut short.
    """
    state, journal = RunState(settings, learning=learning), Journal(store, record.run, session)
    found = snapshot.load(store, record.run, settings, learning=learning)
    if found is not None:
        state, journal.position = found
        if state.opened is not None:
            journal.owner = state.opened.owner
    for event in journal.read():
        state.apply(event)
    if journal.position == 0:
        check_imported(store, record)
    return state, journal


def check_imported(store: Store, record: RunRecord) -> None:
    """Check that an import was not cut short.

    Raises:
        RunConflict: the run began with an import that was cut short.
    """
    if record.imported is not None and not any(True for _ in store.list(keys.journal(record.run))):
        raise RunConflict(
            f"the import of {record.imported.file} into run {record.run!r} was interrupted",
            hint="the same metaqnn-orch import-replay command completes it",
        )
