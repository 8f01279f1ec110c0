"""The queue of a run: nets that people put into the search, one object for each.

An object is named by its trial, and written only if absent: the same net is in the queue once. Whoever holds the run
takes it before it asks the searcher, which becomes an event of the journal, and removes the object when that event is
written. If it is killed in between, the next session finds the object of a trial that the journal has, and removes it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Final

from pydantic import Field, JsonValue

from metaqnn_orch.control.events import Proposed
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.state import RunState
from metaqnn_orch.errors import BadInput, ObjectMissing, PluginFailed
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.bounds import MAX_DESIGN
from metaqnn_trainer.contract.codec import ENOUGH_BYTES, Message, decode, encode
from metaqnn_trainer.contract.errors import ContractError, MessageError
from metaqnn_trainer.spaces.base import IllegalDesign
from metaqnn_trainer.store.base import Store

PAUSE: Final = 3.0  # seconds between two looks into the store


class Queued(Message):
    """One entry of the queue."""

    net: str = Field(max_length=MAX_DESIGN)
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    """Settings of the recipe that differ for this trial."""
    at: str
    by: str = Field("", max_length=200)
    """Who put it in, in words."""


def proposal_of(record: RunRecord, state: RunState, queued: Queued) -> Proposed:
    """The event of a queue's entry.

    Raises:
        BadInput: the net is none of the run's space, or the changes make no recipe.
        PluginFailed: the space fails on it.
    """
    try:
        design = state.space.canonical(queued.net)
        state.space.walk(design)
        spec = record.spec(state.settings, design, queued.recipe)
    except (IllegalDesign, ContractError, ValueError) as error:
        raise BadInput(f"{queued.net} cannot be trained in run {record.run}: {error}") from None
    known = state.by_net.get(design)  # an import may have given it another id
    plain = known is not None and known.is_plain and not queued.recipe
    trial = known.trial if known is not None and plain else spec.trial_id()
    return Proposed(step=state.step, epsilon=None, net=design, trial=trial, recipe=queued.recipe, origin="by hand")


def put(store: Store, run: str, trial: str, queued: Queued) -> bool:
    """Put a net into the queue; False where it is there already."""
    return store.put_if_absent(keys.queued(run, trial), encode(queued))


def withdraw(store: Store, run: str, trial: str) -> None:
    """Take a net out of the queue again."""
    store.delete(keys.queued(run, trial))


def ahead(store: Store, run: str, state: RunState, trial: str) -> int:
    """How many nets of the queue are taken before this one, which is in it."""
    found = {}
    for name in waiting(store, run, state):
        with suppress(ObjectMissing, MessageError):
            key = keys.queued(run, name)
            found[name] = decode(Queued, store.get(key, ENOUGH_BYTES), key).at, key
    return sum(place < found[trial] for place in found.values()) if trial in found else 0


def waiting(store: Store, run: str, state: RunState) -> list[str]:
    """The trials in the queue that the run does not have yet."""
    names = (entry.key.removeprefix(keys.queue(run)).removesuffix(".json") for entry in store.list(keys.queue(run)))
    return [name for name in names if name not in state.trials]


class HandQueue:
    """The queue as the holder of the run takes from it."""

    def __init__(self, store: Store, record: RunRecord, state: RunState, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._record = record
        self._state = state
        self._monotonic = monotonic
        self._looked = -inf
        self._waiting: dict[str, Queued] = {}
        self._taken: list[str] = []  # keys of entries that are in the journal, or will be with its next entry

    def look(self, *, now: bool = False) -> list[tuple[str, Proposed]]:
        """The nets to train next, each with its key, in the order in which they were put in. An entry that makes no
        trial is put aside. The store is asked once in PAUSE seconds, or `now`.

        Raises:
            StoreError: the store did not answer.
        """
        moment = self._monotonic()
        if now or moment >= self._looked + PAUSE:
            self._read()
            self._looked = moment
        found: list[tuple[str, Proposed]] = []
        for key, queued in sorted(self._waiting.items(), key=lambda item: (item[1].at, item[0])):
            event = self._event(key, queued)
            if event is None or event.trial in self._state.trials:
                self.took(key)
            else:
                found.append((key, event))
        return found

    def took(self, key: str) -> None:
        """Take note that the entry's event is with those to be written."""
        del self._waiting[key]
        self._taken.append(key)

    def settle(self) -> None:
        """Remove the entries that are in the journal. It is called when everything that was decided is written.

        Raises:
            StoreError: the store did not answer; the call may be repeated.
        """
        while self._taken:
            self._store.delete(self._taken[-1])
            self._taken.pop()

    def _read(self) -> None:
        """Read the entries that are new."""
        for key in [entry.key for entry in self._store.list(keys.queue(self._record.run))]:
            if key in self._waiting or key in self._taken:
                continue
            try:
                data = self._store.get(key, ENOUGH_BYTES)
            except ObjectMissing:
                continue
            try:
                self._waiting[key] = decode(Queued, data, key)
            except MessageError:
                self._put_aside(key, data)
                self._taken.append(key)

    def _event(self, key: str, queued: Queued) -> Proposed | None:
        """The entry's event; None where it makes none, and was put aside."""
        try:
            return proposal_of(self._record, self._state, queued)
        except (BadInput, PluginFailed):
            self._put_aside(key, encode(queued))
            return None

    def _put_aside(self, key: str, data: bytes) -> None:
        self._store.put(keys.refused(self._record.run, key.rpartition("/")[2]), data)
