"""The queue of a run: nets that people put into the search, one object for each.

An object is named by its trial, and written only if absent: the same net is in the queue once. Whoever holds the run
takes it before it asks the searcher, which becomes an event of the journal, and removes the object when that event is
written. If it is killed in between, the next session finds the object of a trial that the journal has, and removes it.
"""

from __future__ import annotations

from pydantic import Field, JsonValue

from metaqnn_orch.control.events import Proposed
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.state import RunState
from metaqnn_orch.errors import BadInput, ObjectMissing
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.bounds import MAX_DESIGN
from metaqnn_trainer.contract.codec import ENOUGH_BYTES, Message, decode, encode
from metaqnn_trainer.contract.errors import ContractError, MessageError
from metaqnn_trainer.spaces.base import IllegalDesign
from metaqnn_trainer.store.base import Store


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


def waiting(store: Store, run: str, state: RunState) -> list[str]:
    """The trials in the queue that the run does not have yet."""
    names = (entry.key.removeprefix(keys.queue(run)).removesuffix(".json") for entry in store.list(keys.queue(run)))
    return [name for name in names if name not in state.trials]


class HandQueue:
    """The queue as the holder of the run takes from it."""

    def __init__(self, store: Store, record: RunRecord, state: RunState) -> None:
        self._store = store
        self._record = record
        self._state = state
        self._read: dict[str, Queued] = {}
        self._taken: list[str] = []  # keys of entries that are in the journal, or will be with its next entry

    def look(self) -> list[tuple[str, Proposed]]:
        """The nets to train next, each with its key, in the order in which they were put in. An entry that makes no
        trial is put aside.

        Raises:
            StoreError: the store did not answer.
        """
        found: dict[str, Proposed] = {}
        present = [entry.key for entry in self._store.list(keys.queue(self._record.run))]
        for key in present:
            if key in self._taken:
                continue
            event = self._event(key)
            if event is None or event.trial in self._state.trials:
                self._taken.append(key)
            else:
                found[key] = event
        return [(key, found[key]) for key in sorted(found, key=lambda key: (self._read[key].at, key))]

    def took(self, key: str) -> None:
        """Take note that the entry's event is with those to be written."""
        self._taken.append(key)

    def settle(self) -> None:
        """Remove the entries that are in the journal. It is called when everything that was decided is written.

        Raises:
            StoreError: the store did not answer; the call may be repeated.
        """
        while self._taken:
            self._store.delete(self._taken[-1])
            self._read.pop(self._taken.pop(), None)

    def _event(self, key: str) -> Proposed | None:
        """The entry's event; None where it makes none, and was put aside."""
        try:
            data = self._store.get(key, ENOUGH_BYTES)
        except ObjectMissing:
            return None
        try:
            self._read[key] = decode(Queued, data, key)
            return proposal_of(self._record, self._state, self._read[key])
        except (MessageError, BadInput):
            self._store.put(keys.refused(self._record.run, key.rpartition("/")[2]), data)
            return None
