"""Follows a run by reading its store alone, wherever the run is worked on."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

from metaqnn_orch.application.listener import PACE, Listener, LiveRun, View
from metaqnn_orch.application.moment import now
from metaqnn_orch.application.silence import silence_of
from metaqnn_orch.control.events import MAX_ENTRY_BYTES, Event, decode_entry
from metaqnn_orch.control.holder import LEASE_SECONDS, Holder, is_dead, read_holder
from metaqnn_orch.control.record import load_record
from metaqnn_orch.control.resume import resume
from metaqnn_orch.errors import StoreError, one_line
from metaqnn_orch.reporting.curves import read_epochs
from metaqnn_orch.reporting.summary import RunView
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.base import Store

LOOK: Final = 2.0  # seconds between two looks at the journal
_BEFORE: Final = 8  # entries of the journal whose events a watcher still sees


def watch(
    store: Store,
    run: str,
    listener: Listener,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> RunView:
    """Show the run to the listener until it has ended, and return its last state. Changes nothing. A run whose
    orchestrator is gone is still watched: somebody may start it again. Ctrl-C (KeyboardInterrupt) ends the watching.

    Raises:
        NotFound: no run of this name.
        JournalError: the journal is damaged.
        StoreError: for good; a store that is merely out of reach is waited for.
    """
    record = load_record(store, run)
    state, journal = resume(store, record, record.settings_to_read())
    pulse = Heartbeat(store, run, monotonic)
    works = pulse.beats()
    foot = "Ctrl-C ends only the view, the run goes on"
    live = LiveRun(
        record,
        state,
        foot,
        now=lambda: now() if works else state.heard,
        works=lambda: works,
        epochs=partial(read_epochs, store, run),
    )
    with listener.follow(live) as view, silence_of(store).told_to(view.silence):
        if state.opened is not None:
            view.recall(_recent(store, run, journal.position))
        while True:
            try:
                for event in journal.read():
                    state.apply(event)
                    view.happened(event)
                works = pulse.beats()
                idle = not works and state.finished is None
                view.trouble("no orchestrator works on the run" if idle else pulse.trouble)
            except StoreError as error:
                if not error.transient:
                    raise
                view.trouble(str(error))
            if state.finished is not None:
                return RunView(record, state, journal.position)
            _rest(view, sleep)


class Heartbeat:
    """Tells whether an orchestrator works on the run: one on another machine shows it by changing what holder.json
    says.
    """

    def __init__(self, store: Store, run: str, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._run = run
        self._monotonic = monotonic
        self._seen: Holder | None = None
        self._since = 0.0
        self.holder: Holder | None = None
        """The last holder that was seen, alive or not."""

    @property
    def trouble(self) -> str:
        """What the orchestrator last said that it waits for."""
        return one_line(self.holder.trouble) if self.holder is not None else ""

    def beats(self) -> bool:
        self.holder = holder = read_holder(self._store, self._run)
        if holder is None or (dead := is_dead(holder)):
            return False
        if holder != self._seen:
            self._seen, self._since = holder, self._monotonic()
        return dead is False or self._monotonic() < self._since + LEASE_SECONDS


def _recent(store: Store, run: str, position: int) -> list[Event]:
    """The events in the last entries of the journal."""
    entries = [keys.journal_entry(run, number) for number in range(max(1, position - _BEFORE + 1), position + 1)]
    return [event for key in entries for event in decode_entry(store.get(key, MAX_ENTRY_BYTES + 1), key)]


def _rest(view: View, sleep: Callable[[float], None]) -> None:
    for _ in range(round(LOOK / PACE)):
        view.refresh()
        sleep(PACE)
