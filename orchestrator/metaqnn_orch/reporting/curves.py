"""The epochs of a trial, while it trains and afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

from metaqnn_orch.errors import ObjectMissing, StoreError
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.bounds import MAX_HISTORY, MAX_LINE
from metaqnn_trainer.contract.codec import decode, read
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.result import EpochRecord, TrainingResult
from metaqnn_trainer.store.base import Store

MOST: Final = 8  # trials in training whose epochs are read: a person reads no more, and a store is asked for each


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
