"""Stops a run from another place: takes the run over, and does not work on it."""

from __future__ import annotations

from typing import NamedTuple

from metaqnn_orch.control.holder import Holder, living, read_holder
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.resume import resume
from metaqnn_orch.errors import RunHeld
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.store.base import Store

ATTEMPTS = 10  # attempts to write the next entry before a busy orchestrator does


class Taken(NamedTuple):
    """What a takeover found."""

    holder: Holder | None = None
    """The holder that lost the run, if one lives or may live."""
    idle: bool = False
    """Whether the run is complete, or was never begun: then it stays as it is."""


def take_over(store: Store, record: RunRecord, me: Holder, version: str) -> Taken:
    """Make the orchestrator that works on the run stop at its next step, without changing what was learned.

    Raises:
        RunHeld: an orchestrator was faster every time.
        JournalError: the journal is damaged.
    """
    seen = read_holder(store, record.run)
    state, journal = resume(store, record, record.settings_to_read(), me.session, learning=False)
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
        # holder.json is changed only now that it is true: until here the writer of the newest entry still held the run.
        store.put(keys.holder(record.run), encode(me.model_copy(update={"beat": 1, "released": True})))
        return Taken(living(seen))
    raise held
