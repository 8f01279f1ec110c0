"""The journal: the ordered events of a run, which are its only state.

Each entry is an object of its own, created only if absent. So if two orchestrators both believe that they hold the
run, only one can go on. No entry is ever overwritten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from metaqnn_orch.control.events import MAX_ENTRY_BYTES, Event, Opened, decode_entry, decode_head, encode_entry
from metaqnn_orch.errors import JournalError, ObjectMissing, RunHeld
from metaqnn_orch.next_command import next_command
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.base import Store


def last_writer(store: Store, run: str) -> str:
    """The session that wrote the newest entry of the run's journal; empty where there is none.

    Raises:
        JournalError: it is damaged.
    """
    *_, newest = [None, *store.list(keys.journal(run))]
    return decode_head(store.get(newest.key, MAX_ENTRY_BYTES + 1), newest.key).session if newest is not None else ""


class Journal:
    """One run's journal, read from its beginning, then appended to under the name of one session."""

    def __init__(self, store: Store, run: str, session: str = "") -> None:
        self._store = store
        self._run = run
        self._session = session
        self.position = 0
        """Sequence of the last entry read or written; 0 while there is none."""
        self.owner = "another orchestrator"
        """The orchestrator that opened the last session before `position`, where it is known."""

    def read(self) -> Iterator[Event]:
        """Every event after `position`, in order; `position` moves along.

        A listing may lack the newest entries without a sign of it; so the entry after its end is asked for by name.

        Raises:
            JournalError: an entry is missing, even one before `position`, or damaged.
        """
        for sequence, entry in enumerate(self._store.list(keys.journal(self._run)), 1):
            expected = keys.journal_entry(self._run, sequence)
            if entry.key != expected:
                raise JournalError(
                    f"{self._store.uri}: expected {expected}, found {entry.key}",
                    hint=f"the last good entry is number {sequence - 1}; restore the missing ones",
                )
            if sequence > self.position:
                yield from self._next()
        with suppress(ObjectMissing):
            while True:
                yield from self._next()

    def _next(self) -> Iterator[Event]:
        """The events of the entry after `position`, which moves there.

        Raises:
            ObjectMissing: there is none.
            JournalError: it is damaged.
        """
        key = keys.journal_entry(self._run, self.position + 1)
        try:
            events = decode_entry(self._store.get(key, MAX_ENTRY_BYTES + 1), key)
        except JournalError as error:
            error.hint = f"the last good entry is number {self.position}"
            raise
        self.position += 1
        for event in events:
            if isinstance(event, Opened):
                self.owner = event.owner
            yield event

    def append(self, events: Sequence[Event]) -> None:
        """Write one entry. It may be called again with the same events after a StoreError: the entry is written once.

        Raises:
            RunHeld: another session wrote the next entry: it holds the run now.
        """
        key = keys.journal_entry(self._run, self.position + 1)
        data = encode_entry(self._session, events)
        # A write whose answer was lost is repeated, and finds its own entry: entries carry their session's name.
        if not self._store.put_if_absent(key, data) and self._store.get(key, len(data) + 1) != data:
            raise RunHeld(
                f"run {self._run} was taken over by {self._owner_after()}",
                hint=f"nothing more was changed; see {next_command(f'status {self._run}', self._store.uri)}",
            )
        self.position += 1

    def _owner_after(self) -> str:
        for _ in self.read():
            pass
        return self.owner
