"""Bundles: several orders in one process, and what a store tells of them."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metaqnn_trainer.bundle import GOES_ON, train_bundle
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode, encode
from metaqnn_trainer.contract.messages import Recipe
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.contract.work import MAX_BUNDLE, BundleProgress, OrderEnd, WorkOrder, WorkReport
from metaqnn_trainer.store.base import Store, exists
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.errors import Cause, StoreError
from tests import forked
from tests.trainer.conftest import RUN, Bench

BUNDLE = "b" * 12
KEY = keys.bundle(RUN, BUNDLE)
ORDERS = [WorkOrder(store="s", run=RUN, trial=f"{number:012x}", attempt=1) for number in range(4)]
ENDLESS = Recipe(epochs=10_000, batch_size=8)


class Trainer:
    """Ends each order with the next of these codes, and notes which it was given."""

    def __init__(self, *codes: int) -> None:
        self._codes = iter(codes)
        self.given: list[str] = []
        self.prepared = 0
        self.first = ""

    def prepare(self, first: WorkOrder) -> Callable[[WorkOrder], WorkReport]:
        self.prepared += 1
        self.first = first.trial
        return self._carry_out

    def _carry_out(self, order: WorkOrder) -> WorkReport:
        self.given.append(order.trial)
        code = next(self._codes)
        return WorkReport(trial=order.trial, exit_code=code, reason="why" if code else "")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return DirectoryStore(tmp_path / "store", durable=False)


def run(store: Store, trainer: Trainer, stopped: Callable[[], bool] = lambda: False) -> WorkReport | None:
    return train_bundle(store, KEY, ORDERS, trainer.prepare, stopped)


def ended(store: Store) -> list[tuple[str, int]]:
    progress = decode(BundleProgress, store.get(KEY), "progress")
    return [(end.trial, end.exit_code) for end in progress.ended]


def test_all_orders_are_carried_out_in_their_order_by_one_trainer(store: Store) -> None:
    trainer = Trainer(0, 0, 0, 0)
    assert run(store, trainer) is None
    assert trainer.given == [order.trial for order in ORDERS]
    assert trainer.prepared == 1
    assert ended(store) == [(order.trial, 0) for order in ORDERS]


@pytest.mark.parametrize("code", range(256))
def test_whatever_an_order_ends_with(store: Store, code: int) -> None:
    """The process goes on where the end concerns the net alone; else it ends as this order did."""
    trainer = Trainer(0, code, 0, 0)
    report = run(store, trainer)
    if code in GOES_ON:
        assert report is None
        assert ended(store)[1] == (ORDERS[1].trial, code)
        assert len(trainer.given) == 4
    else:
        assert report is not None
        assert (report.trial, report.exit_code, report.reason) == (ORDERS[1].trial, code, "why")
        assert ended(store) == [(ORDERS[0].trial, 0)]
        assert len(trainer.given) == 2


def test_the_progress_is_there_before_anything_slow_begins(store: Store) -> None:
    def prepare(first: WorkOrder) -> Any:
        assert ended(store) == []
        raise ImportError("no torch")

    with pytest.raises(ImportError):
        train_bundle(store, KEY, ORDERS, prepare, lambda: False)


def test_a_process_in_the_place_of_another_goes_on_where_that_one_was(store: Store) -> None:
    first = Trainer(0, 11, 143)
    assert run(store, first) == WorkReport(trial=ORDERS[2].trial, exit_code=143, reason="why")
    second = Trainer(0, 0)
    assert run(store, second) is None
    assert second.given == [ORDERS[2].trial, ORDERS[3].trial]
    assert second.first == ORDERS[2].trial, "what it needs first is known before anything slow begins"
    assert [code for _, code in ended(store)] == [0, 11, 0, 0]


def test_where_nothing_is_left_nothing_slow_begins(store: Store) -> None:
    run(store, Trainer(0, 0, 0, 0))
    again = Trainer()
    assert run(store, again) is None
    assert again.prepared == 0


def test_another_attempt_of_a_trial_is_another_order(store: Store) -> None:
    other = OrderEnd(trial=ORDERS[0].trial, attempt=7, exit_code=0)
    store.put(KEY, encode(BundleProgress(ended=(other,))))
    trainer = Trainer(0, 0, 0, 0)
    assert run(store, trainer) is None
    assert len(trainer.given) == 4


@pytest.mark.parametrize("damaged", [b"", b"{", b'{"ended": 1}', b"\xff" * 2_000_000])
def test_progress_that_cannot_be_read_is_begun_anew(store: Store, damaged: bytes) -> None:
    store.put(KEY, damaged)
    assert run(store, Trainer(0, 0, 0, 0)) is None
    assert len(ended(store)) == 4


def test_who_is_asked_to_stop_between_two_orders_begins_no_other(store: Store) -> None:
    trainer = Trainer(0, 0, 0, 0)
    report = run(store, trainer, stopped=lambda: len(trainer.given) == 2)
    assert report is not None
    assert (report.trial, report.exit_code) == (ORDERS[2].trial, ExitCode.PREEMPTED)
    assert len(ended(store)) == 2


def test_where_progress_cannot_be_written_nothing_more_begins(store: Store) -> None:
    class Full:
        def __init__(self, after: int) -> None:
            self.left = after

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def put(self, key: str, data: bytes) -> None:
            self.left -= 1
            if self.left < 0:
                raise StoreError("the store did not answer", cause=Cause.OUTAGE)
            store.put(key, data)

    for after in range(5):
        trainer, full = Trainer(0, 0, 0, 0), Full(after)
        with pytest.raises(StoreError):
            run(full, trainer)
        assert len(trainer.given) == after
        store.delete(KEY)


def test_an_order_that_does_not_end_by_itself_ends_the_process(store: Store) -> None:
    left: list[tuple[str, float]] = []

    def prepare(first: WorkOrder) -> Callable[[WorkOrder], WorkReport]:
        def carry_out(order: WorkOrder) -> WorkReport:
            while order == ORDERS[1] and not left:
                time.sleep(0.01)
            return WorkReport(trial=order.trial, exit_code=0)

        return carry_out

    train_bundle(
        store, KEY, ORDERS, prepare, lambda: False, 0.5, leave=lambda order, limit: left.append((order.trial, limit))
    )
    assert left == [(ORDERS[1].trial, 0.5)]


def test_progress_of_the_longest_bundle_is_a_message(store: Store) -> None:
    end = OrderEnd(trial="f" * 12, attempt=999_999, exit_code=11, reason="x" * 2000, seconds=1e8)
    assert (
        len(decode(BundleProgress, encode(BundleProgress(ended=(end,) * MAX_BUNDLE)), "progress").ended) == MAX_BUNDLE
    )


def command(bench: Bench, *orders: str, limit: int = 600) -> list[str]:
    own = [f"--store={bench.root}", f"--run={RUN}", f"--bundle={BUNDLE}", f"--limit={limit}", "--threads=1"]
    return [*forked.TRAINER, "bundle", *own, *(f"--order={order}" for order in orders)]


def test_a_process_of_its_own_delivers_each_net_and_says_whose_each_line_is(bench: Bench) -> None:
    trials = [bench.ask(recipe=Recipe(epochs=1, batch_size=8, seed=seed)) for seed in range(2)]
    done = subprocess.run(
        command(bench, f"{trials[0]}/1", f"{'0' * 12}/1", f"{trials[1]}/3"), capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert [bench.result(trial).attempt for trial in trials] == [1, 3]
    assert [code for _, code in ended(bench.store)] == [0, 11, 0]
    assert all(line.startswith("trial ") for line in done.stderr.splitlines()), done.stderr
    assert f"trial {'0' * 12}: " in done.stderr


def test_asked_to_stop_it_ends_as_a_trial_of_its_own_would_and_the_next_goes_on(bench: Bench) -> None:
    short, long = bench.ask(recipe=Recipe(epochs=1, batch_size=8)), bench.ask(recipe=ENDLESS)
    with subprocess.Popen(command(bench, f"{short}/1", f"{long}/1"), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            while f"trial {long}: rate" not in process.stderr.readline():
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == ExitCode.PREEMPTED
        finally:
            process.kill()
    assert exists(bench.store, keys.result(RUN, short))
    assert exists(bench.store, keys.checkpoint(RUN, long))
    assert ended(bench.store) == [(short, 0)]


@pytest.mark.parametrize("order", ["x/1", f"{'0' * 12}", f"{'0' * 12}/0", f"{'0' * 12}/x", f"../{'0' * 12}/1"])
def test_orders_that_are_none_are_refused(bench: Bench, order: str) -> None:
    done = subprocess.run(command(bench, order), capture_output=True, check=False, text=True)
    assert done.returncode == ExitCode.BAD_REQUEST
    assert len(done.stderr.splitlines()) == 1
    assert not exists(bench.store, KEY)
