"""Nets side by side: each as if it were alone, whatever becomes of the others."""

from __future__ import annotations

import json
import resource
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metaqnn_trainer.contract.messages import ModelOptions, Recipe, TrainerOptions, TrialSpec
from metaqnn_trainer.contract.result import EpochRecord, ExitCode
from metaqnn_trainer.contract.work import WorkReport
from metaqnn_trainer.course import Training
from metaqnn_trainer.data import Dataset
from metaqnn_trainer.errors import Preempted
from metaqnn_trainer.memory import DeviceMemory
from metaqnn_trainer.side_by_side import Baton, Room, fits
from metaqnn_trainer.sources.make import MadeDataset
from metaqnn_trainer.train import train
from metaqnn_trainer.trial import Trainer
from tests.trainer.conftest import Bench, spec_of

CPU = torch.device("cpu")
GIB = 2**30  # bounds of memory are real: what is made up must not be less than the process takes
ASKED: list[tuple[str, Recipe, ModelOptions]] = [
    ("[C(16,3,1), P(2,2), FC(32), SM(10)]", Recipe(epochs=3, batch_size=128, mirror=True, translate=1), ModelOptions()),
    (
        "[C(16,3,1), FC(32), FC(16), SM(10)]",
        Recipe(epochs=3, batch_size=256, optimizer="sgd", learning_rate=0.05, evaluate_test=True),
        ModelOptions(),
    ),
    (
        "[C(16,3,1), C(16,3,1), GAP(10), SM(10)]",
        Recipe(epochs=3, batch_size=64, learning_rate=0.02, precision="fp32"),
        ModelOptions(batch_norm=True),
    ),
]


def memory(size: int = 2**60, free: int = 2**60) -> Callable[[torch.device], DeviceMemory]:
    return lambda device: DeviceMemory(size, lambda: free)


def abreast(trainer: Trainer, bench: Bench, trials: Sequence[str]) -> list[WorkReport]:
    orders = [bench.order(trial) for trial in trials]
    with ThreadPoolExecutor(len(orders)) as threads:
        return list(threads.map(trainer.carry_out, orders))


def facts(bench: Bench, trial: str) -> dict[str, Any]:
    """Everything in the store that must not depend on the others, or on interruptions."""
    result, files = bench.result(trial), bench.files(trial)
    history = [json.loads(line) | {"seconds": 0} for line in files["history.jsonl"].splitlines()]
    kept = {"status", "val_accuracy", "last_val_accuracy", "test_accuracy", "best_epoch", "epochs", "learning_rates"}
    return {"weights": files["weights.safetensors"], "history": history, **result.model_dump(include=kept)}


def test_three_side_by_side_come_out_as_three_alone(bench: Bench, tmp_path: Path, digits: MadeDataset) -> None:
    alone = Bench(tmp_path / "alone", digits)
    asked: list[list[str]] = [
        [place.ask(net, recipe, TrainerOptions(checkpoint_seconds=3600), model=model) for net, recipe, model in ASKED]
        for place in (bench, alone)
    ]
    assert asked[0] == asked[1]
    for trial in asked[1]:
        abreast(Trainer(1), alone, [trial])

    turns: list[int] = []

    def in_the_middle() -> bool:
        turns.append(threading.get_ident())
        return len(turns) > 60

    reports = abreast(Trainer(1, in_the_middle), bench, asked[0])
    assert [report.exit_code for report in reports] == [ExitCode.PREEMPTED] * 3
    assert all(set(bench.files(trial)) == {"request.json", "checkpoint"} for trial in asked[0])
    assert len(set(turns[30:33])) == 3
    assert all(turns[number] == turns[number - 3] for number in range(33, 60)), "one after the other, in one order"

    reports = abreast(Trainer(1), bench, asked[0])
    assert [report.exit_code for report in reports] == [ExitCode.DELIVERED] * 3
    for trial in asked[0]:
        assert facts(bench, trial) == facts(alone, trial)
        assert bench.result(trial).resumed_from is not None
        assert bench.result(trial).peak_memory is None


class Nets:
    """Trainings in one room, each in a thread."""

    def __init__(self, digits: MadeDataset, dataset: Dataset, room: Room) -> None:
        self._digits, self._dataset, self._room = digits, dataset, room
        self._threads = ThreadPoolExecutor(8)

    def spec(self, seed: int, epochs: int = 2) -> TrialSpec:
        return spec_of(self._digits.ref, recipe=Recipe(epochs=epochs, batch_size=128, seed=seed))

    def begin(self, spec: TrialSpec, on_epoch: Callable[[EpochRecord], None] = lambda record: None) -> Future[Training]:
        return self._threads.submit(
            self._room.host,
            1000,
            lambda memory, stop: train(spec, self._dataset, on_epoch, stop=stop, memory=memory),
        )

    def alone(self, spec: TrialSpec) -> Training:
        return train(spec, self._dataset, lambda record: None, memory=memory()(CPU))


@pytest.fixture
def nets(digits: MadeDataset, digits_dataset: Dataset) -> Nets:
    return Nets(digits, digits_dataset, Room(CPU, measure=memory()))


def same(first: Training, second: Training) -> bool:
    assert first.weights is not None
    assert second.weights is not None
    return all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)


def test_an_error_in_one_is_its_own(nets: Nets) -> None:
    def broken(record: EpochRecord) -> None:
        if record.epoch == 2:
            raise RuntimeError("the device fell off the bus")

    first, failing, last = nets.begin(nets.spec(1)), nets.begin(nets.spec(2), broken), nets.begin(nets.spec(3))
    with pytest.raises(RuntimeError, match="fell off"):
        failing.result()
    for number, running in ((1, first), (3, last)):
        assert same(running.result(), nets.alone(nets.spec(number)))
    assert same(nets.begin(nets.spec(2)).result(), nets.alone(nets.spec(2))), "the room is as it was"


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError("no more")])
def test_memory_that_runs_out_beside_others_says_nothing_of_a_net(nets: Nets, error: Exception) -> None:
    ends: list[str] = []
    begun, raised = threading.Event(), threading.Event()

    def hungry(record: EpochRecord) -> None:
        if not raised.is_set():
            raised.set()
            raise error

    def note(name: str, _: object) -> None:
        ends.append(name)

    others = [nets.begin(nets.spec(number, epochs=8), lambda record: begun.set()) for number in (1, 2)]
    assert begun.wait(60)
    failing = nets.begin(nets.spec(3), hungry)
    for running, name in ((others[0], "other"), (others[1], "other"), (failing, "failing")):
        running.add_done_callback(partial(note, name))
    training = failing.result()
    assert (training.status, training.micro_batch) == ("completed", None)
    assert same(training, nets.alone(nets.spec(3)))
    assert ends[:2] == ["other", "other"], "it waits for the device to itself"


def ended(*_: object) -> Training:
    return Training(0.5, "completed")


def test_what_does_not_fit_beside_the_others_waits_and_nobody_overtakes() -> None:
    room = Room(CPU, measure=memory(size=4000 * GIB))
    inside, leave = threading.Event(), threading.Event()
    order: list[str] = []

    def stays(memory: DeviceMemory, stop: Callable[[], bool]) -> Training:
        inside.set()
        while not leave.is_set():
            stop()
        order.append("first")
        return ended()

    def passes(name: str) -> Callable[..., Training]:
        def work(memory: DeviceMemory, stop: Callable[[], bool]) -> Training:
            assert name == "small" or not memory.shared(), "large ones are alone"
            order.append(name)
            return ended()

        return work

    with ThreadPoolExecutor(8) as threads:
        threads.submit(room.host, 500 * GIB, stays)
        assert inside.wait(60)
        assert threads.submit(room.host, 500 * GIB, passes("small")).result(60), "both fit"
        waiting = [threads.submit(room.host, 2000 * GIB, passes("large"))]
        while len(room._line) < 1:
            time.sleep(0.001)
        waiting.append(threads.submit(room.host, 1, passes("small")))
        while len(room._line) < 2:
            time.sleep(0.001)
        leave.set()
        for future in waiting:
            future.result(60)
    assert order == ["small", "first", "large", "small"]


def test_asked_to_stop_while_it_waits_for_room() -> None:
    asked = threading.Event()
    room = Room(CPU, asked.is_set, memory(size=GIB))
    inside = threading.Event()

    def stays(memory: DeviceMemory, stop: Callable[[], bool]) -> Training:
        inside.set()
        while not stop():
            pass
        raise Preempted("stopped")

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(room.host, GIB, stays)
        assert inside.wait(60)
        others = [threads.submit(room.host, GIB, ended) for _ in range(2)]
        while len(room._line) < 2:
            time.sleep(0.001)
        asked.set()
        for future in (first, *others):
            with pytest.raises(Preempted):
                future.result(60)


def test_the_bound_on_memory_is_that_of_all_and_goes_with_the_last(nets: Nets) -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    bounds: list[int] = []

    def note(record: EpochRecord) -> None:
        bounds.append(resource.getrlimit(resource.RLIMIT_DATA)[0])

    running = [nets.begin(nets.spec(number, epochs=number), note) for number in (1, 2, 3)]
    for future in running:
        future.result()
    assert len(set(bounds)) == 1
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


SIZES = st.integers(0, 10**12)


@given(SIZES, st.lists(SIZES, max_size=20), SIZES, SIZES)
def test_admission(need: int, beside: list[int], size: int, free: int) -> None:
    assert fits(need, [], size, free), "alone in any case"
    if not fits(need, beside, size, free):
        assert not fits(need + 1, beside, size, free)
        assert not fits(need, [*beside, 0], size, free)
        assert beside
        assert need + sum(beside) > size // 4 or need > free // 4
    elif beside:
        assert 4 * (need + sum(beside)) <= size
        assert 4 * need <= free
        assert fits(need, beside, size + 1, free + 1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(1, 400))
def test_never_more_inside_than_fit_and_everybody_gets_in(needs: list[int], size: int) -> None:
    room = Room(CPU, measure=memory(size=size * GIB))
    inside: list[int] = []
    computing: list[int] = []
    lock = threading.Lock()

    def work_of(need: int) -> Callable[..., Training]:
        def work(memory: DeviceMemory, stop: Callable[[], bool]) -> Training:
            with lock:
                inside.append(need)
                assert len(inside) == 1 or 4 * sum(inside) <= size
            for _ in range(3):
                computing.append(need)
                assert len(computing) == 1, "one at a time"
                computing.clear()
                stop()
            with lock:
                inside.remove(need)
            return ended()

        return work

    with ThreadPoolExecutor(len(needs)) as threads:
        for future in [threads.submit(room.host, need * GIB, work_of(need)) for need in needs]:
            assert future.result(60).status == "completed"


def test_the_baton_goes_round() -> None:
    baton, turns, holders = Baton(), [], []

    def run(name: int) -> None:
        with baton:
            for _ in range(50):
                turns.append(name)
                holders.append(name)
                assert holders == [name]
                holders.clear()
                with baton.handed_on():
                    pass

    threads = [threading.Thread(target=run, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    begun = max(turns.index(name) for name in range(4))
    over = min(len(turns) - turns[::-1].index(name) for name in range(4))
    assert all(len(set(turns[place : place + 4])) == 4 for place in range(begun, over - 4))
    assert sorted(turns) == sorted(list(range(4)) * 50)
    assert not baton.wanted
