"""A net in training shows its epochs, which never holds up its training or fails it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from itertools import count
from threading import Event
from typing import Any

import pytest

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode
from metaqnn_trainer.contract.messages import Recipe, TrainerOptions
from metaqnn_trainer.contract.result import EpochRecord, ExitCode
from metaqnn_trainer.errors import Preempted
from metaqnn_trainer.images.dataset import Dataset
from metaqnn_trainer.store.base import exists
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.errors import Cause, StoreError
from metaqnn_trainer.store.patient import PatientStore
from metaqnn_trainer.training.checkpoint import Checkpoints
from metaqnn_trainer.training.so_far import EpochsSoFar
from metaqnn_trainer.trial import Trainer
from tests.trainer.conftest import RUN, Bench, spec_of, train

TRIAL = "0123456789ab"
KEY = keys.epochs(RUN, TRIAL)


def records(number: int) -> list[EpochRecord]:
    return [
        EpochRecord(rate=1, epoch=epoch, learning_rate=0.1, train_loss=1.0, reward=0.5, seconds=1.0)
        for epoch in range(1, number + 1)
    ]


def shown(store: DirectoryStore, trial: str = TRIAL) -> list[EpochRecord]:
    return [decode(EpochRecord, line, "line") for line in store.get(keys.epochs(RUN, trial)).splitlines()]


class Held(DirectoryStore):
    """A store whose writes wait for `go`, and fail with `error` if there is one."""

    error: StoreError | None = None

    def __init__(self, root: Any) -> None:
        super().__init__(root)
        self.go = Event()
        self.puts = 0

    def put(self, key: str, data: bytes) -> None:
        self.puts += 1
        assert self.go.wait(30)
        if self.error:
            raise self.error
        super().put(key, data)


@pytest.fixture
def held(tmp_path: Any) -> Iterator[Held]:
    store = Held(tmp_path)
    yield store
    store.go.set()


def test_the_newest_epochs_are_there_until_the_result_is(tmp_path: Any) -> None:
    store = DirectoryStore(tmp_path)
    so_far = EpochsSoFar(store, RUN, TRIAL, 1, 0, 0)
    for number in (1, 2, 5):
        so_far.tell(records(number))
        so_far.close()
        assert shown(store) == records(number)
    so_far.remove()
    assert not exists(store, KEY)


def test_a_short_training_writes_nothing(held: Held) -> None:
    so_far = EpochsSoFar(held, RUN, TRIAL, 1)
    so_far.tell(records(3))
    so_far.remove()
    assert held.puts == 0


def test_a_slow_store_holds_nothing_up_and_gets_the_newest(held: Held) -> None:
    so_far = EpochsSoFar(held, RUN, TRIAL, 1, 0, 0)
    begun = time.monotonic()
    for number in range(1, 100):
        so_far.tell(records(number))
    assert time.monotonic() - begun < 1
    assert held.puts == 1, "one at a time"
    held.go.set()
    so_far.close()
    so_far.tell(records(100))
    so_far.close()
    assert shown(held) == records(100)


def test_a_pause_follows_a_slow_write(held: Held) -> None:
    so_far = EpochsSoFar(held, RUN, TRIAL, 1, seconds=0, share=1000)
    so_far.tell(records(1))
    time.sleep(0.05)
    held.go.set()
    so_far.close()
    so_far.tell(records(2))
    so_far.close()
    assert held.puts == 1


def test_what_arrives_after_its_removal_is_removed(held: Held) -> None:
    so_far = EpochsSoFar(held, RUN, TRIAL, 1, 0, 0)
    so_far.tell(records(1))
    so_far.remove()
    writer = so_far._writer
    assert writer is not None
    assert writer.is_alive(), "the store hangs, and the trial has ended all the same"
    held.go.set()
    writer.join(30)
    assert not exists(held, KEY)


@pytest.mark.parametrize(("cause", "puts"), [(Cause.REFUSED, 1), (Cause.FULL, 1), (Cause.OUTAGE, 3)])
def test_without_patience(held: Held, cause: Cause, puts: int, capsys: pytest.CaptureFixture[str]) -> None:
    held.error = StoreError("no", cause=cause)
    held.go.set()
    so_far = EpochsSoFar(PatientStore(held, (1000.0,)), RUN, TRIAL, 1, 0, 0)
    for _ in range(3):
        so_far.tell(records(1))
        so_far.close()
    assert held.puts == puts, "a refusal is not asked for again in this training"
    assert capsys.readouterr().err == ""


def test_an_attempt_that_goes_on_shows_one_curve(bench: Bench, digits_dataset: Dataset) -> None:
    spec = spec_of(bench.dataset, recipe=Recipe(epochs=4, batch_size=64))
    trial, options = spec.trial_id(), TrainerOptions(checkpoint_seconds=0)
    seen: list[list[int]] = []

    class Told(EpochsSoFar):
        def tell(self, records: Any) -> None:
            super().tell(records)
            self.close()
            seen.append([record.epoch for record in shown(bench.store, trial)])

    for attempt in (1, 2):
        with (
            closing(Checkpoints(bench.store, RUN, spec, 0, print)) as checkpoints,
            closing(Told(bench.store, RUN, trial, attempt, 0, 0)) as so_far,
            pytest.raises(Preempted) if attempt == 1 else nullcontext(),
        ):
            train(
                spec,
                digits_dataset,
                lambda record: None,
                options,
                checkpoints,
                lambda attempt=attempt: attempt == 1 and len(seen) == 2,
                so_far=so_far,
            )
    assert seen == [[*range(1, number + 1)] for number in (1, 2, 3, 4)], "every epoch is trained once"


def test_what_an_attempt_left_is_removed_beside_a_result(bench: Bench) -> None:
    trial = bench.ask()
    trainer = Trainer(threads=1)
    assert trainer.carry_out(bench.order(trial)).exit_code == 0
    bench.store.put(keys.epochs(RUN, trial), b"left behind")
    assert trainer.carry_out(bench.order(trial, 2)).exit_code == 0
    assert "epochs.jsonl" not in bench.files(trial)


def test_a_trial_in_training_shows_its_epochs(bench: Bench) -> None:
    """The real trainer has its pace of seconds."""
    trial = bench.ask(recipe=Recipe(epochs=10_000, batch_size=64))
    key, looks = keys.epochs(RUN, trial), count()
    trainer = Trainer(threads=1, stop=lambda: next(looks) % 50 == 0 and exists(bench.store, key))
    begun = time.monotonic()
    assert trainer.carry_out(bench.order(trial)).exit_code == ExitCode.PREEMPTED
    assert time.monotonic() - begun > 5
    found = [record.epoch for record in shown(bench.store, trial)]
    assert found == [*range(1, len(found) + 1)] != []
