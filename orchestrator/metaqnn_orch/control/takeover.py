"""Stopping a run from elsewhere: take it over, and do nothing with it."""

from __future__ import annotations

from typing import NamedTuple

from metaqnn_orch.control.holder import Holder, is_dead, read_holder
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.resume import resume
from metaqnn_orch.errors import RunHeld
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.store.base import Store

ATTEMPTS = 10  # to write the next entry before a busy orchestrator does


class Taken(NamedTuple):
    """What a takeover found."""

    holder: Holder | None = None
    """From whom the run was taken, if one lives or may live."""
    idle: bool = False
    """The run is complete, or nobody began it: it stays as it is."""


def take_over(store: Store, record: RunRecord, me: Holder, version: str) -> Taken:
    """Make whoever works on the run stop at its next step, without changing what was learned.

    Raises:
        RunHeld: an orchestrator was faster every time.
        JournalError: the journal is damaged.
    """
    seen = read_holder(store, record.run)
    state, journal = resume(store, record, record.settings_as_run(), me.session)
    for _ in range(ATTEMPTS):
        if state.opened is None or state.finished is not None:
            return Taken(idle=True)
        update = {"at": me.at, "session": me.session, "owner": me.owner, "version": version}
        position = journal.position
        try:
            journal.append([state.opened.model_copy(update=update)])
        except RunHeld as error:
            held, journal.position = error, position
            for event in journal.read():
                state.apply(event)
            continue
        # Now that it is true: until then, whoever wrote the newest entry goes on holding the run.
        store.put(keys.holder(record.run), encode(me.model_copy(update={"beat": 1, "released": True})))
        return Taken(seen if seen is not None and not is_dead(seen) else None)
    raise held
