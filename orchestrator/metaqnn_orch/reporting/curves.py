"""The epochs of a trial, while it trains and afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from threading import Lock
from typing import Final

from metaqnn_orch.control.at_once import each
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import ObjectMissing, StoreError
from metaqnn_orch.reporting.summary import RunView
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.bounds import MAX_HISTORY, MAX_LINE
from metaqnn_trainer.contract.codec import decode, read
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.result import EpochRecord, TrainingResult
from metaqnn_trainer.store.base import Store

MOST: Final = 8  # trials in training whose epochs are read: a person reads no more, and a store is asked for each
_KEPT: Final = 100_000  # curves: some megabytes for each thousand of very long ones
_TRAINED: Final = ("completed", "timed_out", "stopped_early", "untrainable")  # states of trials that have epochs
_NO_EPOCH: Final = {
    "in_flight": "no epoch of it has ended",
    "too_large": "it did not fit the device",
    "abandoned": "every attempt was lost",
}


def read_epochs(store: Store, run: str, trial: str) -> list[EpochRecord]:
    """The epochs of a trial, over all attempts and learning rates, in their order: those in its history if it has a
    result, or else those so far.

    It is empty if there are none, as for an imported trial, and for a trial of a trainer that does not show them. Of a
    damaged file it has the lines before the damage. Nothing is written.

    Raises:
        StoreError: the store does not answer.
    """
    try:
        result = read(TrainingResult, store.get, keys.result(run, trial))
    except MessageError:
        return []
    except StoreError as error:
        if not _is_missing(error):
            raise
        return _records(store, keys.epochs(run, trial))
    if result.history is None:
        return []
    with suppress(MessageError):  # the file is not there, or is another
        return _records(store, artifacts.locate(store, run, trial, "history", result.history))
    return []


class Curves:
    """The curves that a journal does not have, from the histories: journals of earlier releases have none, and no
    journal has a very long one. The store is asked once for each, because an ended trial's never changes. Nothing is
    written. It is safe to use from several threads, and for several runs of the store.
    """

    def __init__(self, store: Store, kept: int = _KEPT) -> None:
        """`kept` limits how many curves are remembered."""
        self._store = store
        self._kept = kept
        self._lock = Lock()  # guards what follows
        self._known: dict[tuple[str, str, str], list[float]] = {}  # also empty ones

    def fill(self, view: RunView, trials: Iterable[Trial], most: int | None = None) -> bool:
        """Give these trials of the run their curves, but read at most `most` histories. Returns whether any was found.

        Raises:
            StoreError: the store does not answer; what it did answer is remembered.
        """
        record = view.record
        if record.table is not None:
            return False
        lacking = {
            (record.run, record.uid, trial.trial): trial
            for trial in trials
            if not trial.curve and trial.attempt and trial.state in _TRAINED
        }

        def read(key: tuple[str, str, str]) -> None:
            curve = curve_of(lacking[key], read_epochs(self._store, record.run, key[-1]))
            with self._lock:
                self._known[key] = curve
                while len(self._known) > self._kept:
                    del self._known[next(iter(self._known))]

        try:
            each(read, [key for key in lacking if key not in self._known][:most])
        finally:
            with self._lock:
                found = {key: self._known[key] for key in lacking if self._known.get(key)}
            for key, curve in found.items():
                lacking[key].curve = [*curve]
        return bool(found)


def curve_of(trial: Trial, records: Sequence[EpochRecord]) -> list[float]:
    """The learning curve of a trial with these epochs: the rewards of those that count, in training those so far. Of a
    net that stayed at chance they are the last rate's: its reward is chance, and comes from none of them.
    """
    if trial.curve or trial.state not in (*_TRAINED, "in_flight"):
        return [*trial.curve]
    return [record.reward for record in counted(records)]


def why_no_curve(trial: Trial, table: str | None) -> str:
    """Why a trial has no learning curve, as the end of a sentence; `table` is what answered instead of a trainer."""
    if not trial.attempt:
        return "it was imported"
    if table is not None:
        return "it was not trained, a table answered"
    return _NO_EPOCH.get(trial.state, "the store has no history of it")


def counted(records: Sequence[EpochRecord]) -> list[EpochRecord]:
    """The epochs that count: those of the last learning rate, as far as the loss was finite."""
    return [record for record in records if record.rate == records[-1].rate and record.train_loss is not None]


def so_far(trials: Iterable[str], read: Callable[[str], Sequence[EpochRecord]]) -> dict[str, list[EpochRecord]]:
    """The epochs that count of the first few of these trials, which are in training, as far as they have any. Raises as
    `read` does, which reads the epochs of one trial.
    """
    found = ((trial, counted(read(trial))) for trial in islice(trials, MOST))
    return {trial: records for trial, records in found if records}


def _records(store: Store, key: str) -> list[EpochRecord]:
    try:
        data = store.get(key, MAX_HISTORY)
    except StoreError as error:
        if not _is_missing(error):
            raise
        return []
    found = []
    for line in data.splitlines():
        try:
            found.append(decode(EpochRecord, line[: MAX_LINE + 1], key))
        except MessageError:
            break
    return found


def _is_missing(error: StoreError) -> bool:
    """Whether an object is not there. Some stores refuse to tell, where they do not allow a listing."""
    return isinstance(error, ObjectMissing) or error.denied
