"""The epochs of a trial are read whatever became of it, and a damaged file hides no more than itself."""

from __future__ import annotations

import pytest

from metaqnn_orch.errors import StoreError
from metaqnn_orch.reporting.curves import counted, read_epochs
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.bounds import MAX_HISTORY
from metaqnn_trainer.contract.codec import encode, encode_line
from metaqnn_trainer.contract.messages import TrainingRequest, TrialSpec
from metaqnn_trainer.contract.result import EpochRecord
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import DATASET, result_for

SPEC = TrialSpec(net="[C(16,3,1), SM(10)]", dataset=DATASET, image_size=8)
RUN, TRIAL = "test", SPEC.trial_id()
REQUEST = TrainingRequest(run=RUN, trial=TRIAL, spec=SPEC)


def record(epoch: int, rate: int = 1, loss: float | None = 1.0) -> EpochRecord:
    return EpochRecord(rate=rate, epoch=epoch, learning_rate=0.1, train_loss=loss, reward=epoch / 10, seconds=1.0)


def lines(records: list[EpochRecord]) -> bytes:
    return b"".join(map(encode_line, records))


def end(store: Store, history: bytes) -> str:
    """Leave a result with this history; the history's key."""
    artifact = artifacts.put(store, RUN, TRIAL, "history", history)
    store.put(keys.result(RUN, TRIAL), encode(result_for(REQUEST, history=artifact)))
    return artifacts.key_of(RUN, TRIAL, "history", artifact)


def test_in_training_and_afterwards(store: Store) -> None:
    assert read_epochs(store, RUN, TRIAL) == []
    store.put(keys.epochs(RUN, TRIAL), lines([record(1), record(2)]))
    assert read_epochs(store, RUN, TRIAL) == [record(1), record(2)]
    end(store, lines([record(1), record(2), record(3)]))
    assert len(read_epochs(store, RUN, TRIAL)) == 3, "what was left behind is ignored"


def test_a_result_without_a_history_has_no_epochs(store: Store) -> None:
    store.put(keys.epochs(RUN, TRIAL), lines([record(1)]))
    store.put(keys.result(RUN, TRIAL), encode(result_for(REQUEST)))
    assert read_epochs(store, RUN, TRIAL) == []


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"null\n", b"[" * 100_000, b"9" * 5000])
def test_damage_hides_what_comes_after_it(store: Store, damage: bytes) -> None:
    whole = lines([record(1), record(2)])
    store.put(keys.epochs(RUN, TRIAL), whole + damage + b"\n" + lines([record(3)]))
    assert read_epochs(store, RUN, TRIAL)[:2] == [record(1), record(2)]
    store.put(keys.epochs(RUN, TRIAL), damage)
    assert read_epochs(store, RUN, TRIAL) == []
    store.put(keys.result(RUN, TRIAL), damage)
    assert read_epochs(store, RUN, TRIAL) == []


def test_a_history_that_is_gone_or_another_hides_itself_alone_and_stays(store: Store) -> None:
    key = end(store, lines([record(1), record(2)]))
    store.put(key, lines([record(1)]))
    assert read_epochs(store, RUN, TRIAL) == []
    assert store.get(key, 10_000) == lines([record(1)]), "who looks on changes nothing"
    store.delete(key)
    assert read_epochs(store, RUN, TRIAL) == []


def test_no_more_is_read_than_a_history_can_have(store: Store) -> None:
    store.put(keys.epochs(RUN, TRIAL), lines([record(1)]) + b"x" * (MAX_HISTORY + 10))
    assert read_epochs(store, RUN, TRIAL) == [record(1)]


def test_a_store_that_does_not_tell_what_is_missing(store: Store) -> None:
    class Denies(DirectoryStore):
        status = 403

        def get(self, key: str, first: int | None = None) -> bytes:
            raise StoreError("no", status=self.status)

    denies = Denies(store.uri)
    assert read_epochs(denies, RUN, TRIAL) == []
    denies.status = 503
    with pytest.raises(StoreError):
        read_epochs(denies, RUN, TRIAL)


def test_epochs_of_earlier_rates_do_not_count() -> None:
    assert counted([]) == []
    found = [record(1), record(1, rate=2), record(2, rate=2), record(3, rate=2, loss=None)]
    assert counted(found) == found[1:3]
