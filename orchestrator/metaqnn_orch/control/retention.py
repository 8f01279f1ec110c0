"""Superfluous objects of a run: which they are, and their removal.

Weights are most of a run's bytes, and most of them are never read. Whoever removes weights leaves a note in their
place, so that they are not taken for lost. Objects of unknown kinds are left alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from enum import StrEnum
from typing import Final, NamedTuple

from metaqnn_orch.control.at_once import each
from metaqnn_orch.control.confirmation import is_under_way
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import ObjectMissing, StoreError
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import Message, encode, read
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.store.base import Entry, Store

FEW: Final = 10  # trials
AT_ONCE: Final = 32  # objects that a search removes before it looks at its trials again

_OBJECT: Final = re.compile(r"([0-9a-f]{12})/(checkpoint|epochs\.jsonl|weights(?:-[0-9a-f]+)?\.safetensors)")
_SIBLING: Final = re.compile(
    r"([0-9a-f]{12})/(?:weights-[0-9a-f]{16}\.safetensors|history-[0-9a-f]{16}\.jsonl|picture-[a-z0-9-]+-[0-9a-f]{16}\.png)"
)


class Why(StrEnum):
    """The reason why an object is superfluous."""

    CHECKPOINT = "checkpoints of trials that have ended"
    EPOCHS = "epochs so far of trials that have ended"
    ABANDONED = "weights of abandoned trials"
    BEYOND = "weights of nets that are not among the best"
    ORPHAN = "weights and histories that belong to no result"
    PROGRESS = "progress of Jobs with several trials"


class Surplus(NamedTuple):
    """One object that may be removed."""

    key: str
    trial: str
    size: int
    """Size in bytes."""
    why: Why


class Removed(Message):
    """removed.json: the note that a trial's weights were removed on purpose."""

    at: str
    by: str
    """The command or setting that asked for the removal, in words."""

    def __str__(self) -> str:
        return f"its weights were removed at {self.at}, by {self.by}"


def kept(setting: str) -> int | None:
    """How many nets keep their weights under `execution.keep_weights`; None: all of them."""
    return None if setting == "all" else int(setting.removeprefix("best "))


def surplus(state: RunState, entries: Iterable[Entry], run: str, keep: int | None) -> list[Surplus]:
    """The superfluous objects of a run, where the best `keep` nets keep their weights, and also every net with whose
    weights a trial begins that is in flight or to be repeated.
    """
    best = _best(state, keep)
    awaited = [*state.in_flight.values(), *_awaited(state)]
    best |= {trial.initial.trial for trial in awaited if trial.initial and trial.initial.run == run}
    found = []
    for key, size in entries:
        match = _OBJECT.fullmatch(key.removeprefix(keys.trials(run)))
        trial = state.trials.get(match[1]) if match else None
        if match is None or trial is None or trial.state == "in_flight":
            continue
        if match[2] == "checkpoint":
            why = Why.CHECKPOINT
        elif match[2] == "epochs.jsonl":
            why = Why.EPOCHS
        elif keep is None or trial.trial in best:
            continue
        else:
            why = Why.ABANDONED if trial.state == "abandoned" else Why.BEYOND
        found.append(Surplus(key, trial.trial, size, why))
    return found


def _best(state: RunState, keep: int | None) -> set[str]:
    """All trainings of the best nets, and while the best are being confirmed, of all of these."""
    heads = state.ranking()[:keep] + _awaited(state)
    return {trial.trial for head in heads for trial in (head, *head.confirmations)}


def _awaited(state: RunState) -> list[Trial]:
    """The trials that are being confirmed."""
    if state.shortlist is None or not is_under_way(state):
        return []
    return [state.trials[name] for name in state.shortlist.trials]


def best_kept(store: Store, run: str, trial: Trial) -> Trial:
    """The best training of a trial whose weights were not removed. Of a trial that was never repeated it is the trial
    itself.

    Raises:
        StoreError: the store did not answer.
    """
    if not trial.confirmations:
        return trial
    here = (one for one in trial.trainings if one.attempt > 0)  # weights of an import are not in this store
    return next((one for one in here if read_removed(store, run, one.trial) is None), trial)


def orphans(store: Store, state: RunState, entries: Iterable[Entry], run: str) -> list[Surplus]:
    """The objects of attempts that were killed before they had a result. If a trial was told, and its result is gone or
    cannot be read, every object of it stays: it may be all that is left of the trial.
    """
    siblings: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        match = _SIBLING.fullmatch(entry.key.removeprefix(keys.trials(run)))
        trial = state.trials.get(match[1]) if match else None
        if trial is not None and trial.state != "in_flight":
            siblings[trial.trial].append(entry)

    def unnamed(trial: str) -> list[Entry]:
        try:
            named = _named(store, run, trial)
        except ObjectMissing:
            return siblings[trial] if state.trials[trial].state == "abandoned" else []
        except (MessageError, StoreError):  # what cannot be read names nothing that is superfluous
            return []
        return [entry for entry in siblings[trial] if entry.key not in named]

    found = each(unnamed, [*siblings])
    return [
        Surplus(key, trial, size, Why.ORPHAN)
        for trial, entries in zip(siblings, found, strict=True)
        for key, size in entries
    ]


def _named(store: Store, run: str, trial: str) -> set[str]:
    """The keys that the trial's result names.

    Raises:
        ObjectMissing: the trial has no result.
        MessageError: it cannot be read.
    """
    key = keys.result(run, trial)
    result = read(TrainingResult, store.get, key)
    return {artifacts.key_of(run, trial, kind, artifact) for kind, artifact in artifacts.named(result).items()}


def remove(store: Store, run: str, thing: Surplus, note: Removed) -> None:
    """Remove one object for good.

    Raises:
        StoreError: the store did not remove it; the call may be repeated.
    """
    if thing.why not in (Why.CHECKPOINT, Why.EPOCHS, Why.ORPHAN, Why.PROGRESS):
        store.put(keys.removed(run, thing.trial), encode(note))
    store.delete(thing.key)


def read_removed(store: Store, run: str, trial: str) -> Removed | None:
    """The note about the removal of a trial's weights; None where there is none."""
    try:
        return read(Removed, store.get, keys.removed(run, trial))
    except (ObjectMissing, MessageError):
        return None


class Retention:
    """Removes superfluous objects while a search goes on."""

    def __init__(self, store: Store, run: str, setting: str) -> None:
        self._store = store
        self._run = run
        self._setting = setting
        self._keep = kept(setting)
        self._looked_at: set[str] = set()

    def tidy(self, state: RunState, now: str) -> bool:
        """Examine trials that were told or abandoned since the last call, and those that dropped out of the best nets.
        If the store fails now, the next call tries again, or gc does.

        Returns whether there is more to remove: after a change of the setting there may be thousands of objects.
        """
        displaced: set[str] = set()
        if self._keep is not None:  # else every net is one of the best
            best = _best(state, self._keep)
            displaced = {
                trial.trial for trial in state.trials.values() if trial.was_trained and trial.trial not in best
            }
        ended = (
            {trial.trial for trial in state.trials.values() if trial.state == "abandoned"} if state.abandoned else ()
        )
        todo = sorted(displaced.union(ended) - self._looked_at)
        if not todo:
            return False
        # There are many only where a session begins: then one listing is shorter than one for each trial.
        prefixes = [keys.trials(self._run)] if len(todo) > FEW else [keys.trial(self._run, trial) for trial in todo]
        note = Removed(at=now, by=f"execution.keep_weights={self._setting}")
        with suppress(StoreError):
            entries = [entry for prefix in prefixes for entry in self._store.list(prefix)]
            things = surplus(state, entries, self._run, self._keep)
            for thing in things[:AT_ONCE]:
                remove(self._store, self._run, thing, note)
            if len(things) > AT_ONCE:
                return True
            self._looked_at.update(todo)
        return False
