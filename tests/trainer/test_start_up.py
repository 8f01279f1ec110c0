"""What a process costs before its first trial: what it imports, and what it reads meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.contract.work import WorkOrder
from metaqnn_trainer.dataset_cache import DatasetCache
from metaqnn_trainer.sources.make import MadeDataset
from metaqnn_trainer.start_up import Ahead
from metaqnn_trainer.store.base import Store, exists
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.opening import open_store
from metaqnn_trainer.store.patient import PatientStore
from metaqnn_trainer.trial import Trainer
from tests.seaweedfs import S3Server
from tests.trainer.conftest import RUN, Bench, spec_of

TORCH = {"torch", "numpy", "safetensors"}
# None of these is needed for training from a directory. Torch compiles nothing here, and imports half a second less.
NEVER = {
    *("boto3", "botocore", "s3transfer", "urllib3", "torchvision", "PIL", "sklearn", "scipy", "onnx", "onnxscript"),
    *("sympy", "torch._dynamo", "torch._inductor", "torch.utils.tensorboard", "metaqnn_orch", "metaqnn_trainer.export"),
    *("metaqnn_trainer.sources.make", "metaqnn_trainer.judge", "metaqnn_trainer.load"),
}


def run(program: str, *arguments: str) -> Any:
    """What a fresh process prints, as JSON."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_command_line_takes_neither_torch_nor_what_only_some_commands_need() -> None:
    taken = set(
        run("import json, sys\nfrom metaqnn_trainer import __main__, worker\nprint(json.dumps([*sys.modules]))")
    )
    assert "metaqnn_trainer.start_up" in taken
    assert taken & (TORCH | NEVER) == set()


def test_a_training_takes_torch_and_no_more_than_it_needs(bench: Bench) -> None:
    program = (
        "import gc, json, sys\n"
        "from metaqnn_trainer.__main__ import main\n"
        "assert main(['train', '--store', sys.argv[1], '--run', sys.argv[2], '--trial', sys.argv[3]]) == 0\n"
        "print(json.dumps([[*sys.modules], gc.get_freeze_count(), gc.isenabled()]))"
    )
    trial = bench.ask()
    taken, frozen, collecting = run(program, str(bench.root), RUN, trial)
    assert set(taken) >= TORCH
    assert NEVER & set(taken) == set()
    assert frozen > 100_000, "the garbage collector leaves alone what torch's import made"
    assert collecting
    assert bench.result(trial).status == "completed"


def test_request_and_dataset_are_there_before_torch(bench: Bench, tmp_path: Path) -> None:
    program = (
        "import json, sys\n"
        "from metaqnn_trainer.contract.work import WorkOrder\n"
        "from metaqnn_trainer.dataset_cache import DatasetCache\n"
        "from metaqnn_trainer.start_up import Ahead\n"
        "order = WorkOrder(store=sys.argv[1], run=sys.argv[2], trial=sys.argv[3], attempt=1)\n"
        "ahead = Ahead.of(order, DatasetCache(sys.argv[4]))\n"
        "request = ahead.get((order.run, order.trial), lambda: None)\n"
        "file = ahead.get(request.spec.dataset, lambda: None)\n"
        "print(json.dumps([request.trial, file.name, [*sys.modules]]))"
    )
    trial = bench.ask()
    told, _, taken = run(program, str(bench.root), RUN, trial, str(tmp_path))
    assert told == trial
    assert [path.name for path in tmp_path.glob("digits-*.safetensors")]
    assert TORCH & set(taken) == set()


def test_a_process_of_its_own_with_a_bucket_and_a_cache(
    s3_server: S3Server, s3_store_uri: str, digits: MadeDataset, tmp_path: Path
) -> None:
    store = open_store(s3_store_uri)
    store.put(keys.dataset(digits.ref.name, digits.ref.digest), digits.data)
    spec = spec_of(digits.ref)
    request = TrainingRequest(run=RUN, trial=spec.trial_id(), spec=spec)
    store.put(keys.request(RUN, request.trial), encode(request))
    command = [sys.executable, "-m", "metaqnn_trainer", "train", "--store", s3_store_uri, "--run", RUN]
    environment = {**os.environ, **s3_server.environment(), "METAQNN_DATASET_CACHE": str(tmp_path)}
    for lost in (keys.dataset(digits.ref.name, digits.ref.digest), ""):
        done = subprocess.run([*command, "--trial", request.trial], env=environment, capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (0, b""), done.stderr
        if lost:  # the second process finds it in the cache
            store.delete(lost)
            store.delete(keys.result(RUN, request.trial))
    assert exists(store, keys.result(RUN, request.trial))


class Counting(DirectoryStore):
    """Counts what is read of it, once it may answer."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read: Counter[str] = Counter()
        self.opened = 0
        self.may_answer = Event()
        self.may_answer.set()

    def get(self, key: str, first: int | None = None) -> bytes:
        assert self.may_answer.wait(60)
        self.read[key] += 1
        return super().get(key, first)

    def open(self, uri: str) -> Store:
        self.opened += 1
        return self


def test_nothing_is_read_twice_and_nobody_waits_for_what_is_not_needed_yet(bench: Bench) -> None:
    store = Counting(bench.root)
    first, second = bench.ask(), bench.ask("[C(16,3,1), SM(10)]")
    store.may_answer.clear()
    ahead = Ahead.of(bench.order(first), opened=store.open)
    trainer = Trainer(1, opened=store.open, ahead=ahead)
    assert store.read.total() == 0
    store.may_answer.set()
    for trial in (first, second):
        assert trainer.carry_out(bench.order(trial)).exit_code == ExitCode.DELIVERED
    dataset = keys.dataset(bench.dataset.name, bench.dataset.digest)
    assert {key: store.read[key] for key in (dataset, keys.request(RUN, first), keys.request(RUN, second))} == {
        dataset: 1,
        keys.request(RUN, first): 1,
        keys.request(RUN, second): 1,
    }
    assert store.opened == 1


def test_a_trial_that_was_not_begun_is_read_as_ever(bench: Bench) -> None:
    begun, other = bench.ask(), bench.ask("[C(16,3,1), SM(10)]")
    trainer = Trainer(1, ahead=Ahead.of(bench.order(begun)))
    for trial in (other, begun, begun):
        assert trainer.carry_out(bench.order(trial)).exit_code == ExitCode.DELIVERED
    assert bench.result(other).trial == other


def lose_the_request(bench: Bench, trial: str) -> None:
    bench.store.delete(keys.request(RUN, trial))


def damage_the_request(bench: Bench, trial: str) -> None:
    bench.store.put(keys.request(RUN, trial), b"{}")


def lose_the_dataset(bench: Bench, trial: str) -> None:
    bench.store.delete(keys.dataset(bench.dataset.name, bench.dataset.digest))


def damage_the_dataset(bench: Bench, trial: str) -> None:
    bench.store.put(keys.dataset(bench.dataset.name, bench.dataset.digest), b"x")


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lose_the_request, ExitCode.BAD_REQUEST),
        (damage_the_request, ExitCode.BAD_REQUEST),
        (lose_the_dataset, ExitCode.DATASET),
        (damage_the_dataset, ExitCode.DATASET),
    ],
)
def test_errors_are_the_same_and_come_where_they_are_met(
    damage: Callable[[Bench, str], None], code: ExitCode, bench: Bench, tmp_path: Path
) -> None:
    trial = bench.ask()
    order = bench.order(trial)
    damage(bench, trial)
    expected = Trainer(1).carry_out(order)
    assert expected.exit_code == code
    cache = DatasetCache(tmp_path)
    trainer = Trainer(1, dataset_cache=cache, ahead=Ahead.of(order, cache))
    assert trainer.carry_out(order) == expected
    assert trainer.carry_out(order) == expected, "and is met again"


def test_a_store_that_cannot_be_opened_or_breaks(bench: Bench) -> None:
    order = WorkOrder(store="gs://bucket", run=RUN, trial="0" * 12, attempt=1)
    report = Trainer(1, ahead=Ahead.of(order)).carry_out(order)
    assert report == Trainer(1).carry_out(order)
    assert report.exit_code == ExitCode.BAD_REQUEST

    class Broken(DirectoryStore):
        def get(self, key: str, first: int | None = None) -> bytes:
            raise OSError("no such luck")

    def opened(uri: str) -> Store:
        return Broken(bench.root)

    def failing(uri: str) -> Store:
        raise RuntimeError(f"{uri} cannot be opened")

    for open_it in (opened, failing):
        order = bench.order(bench.ask())
        report = Trainer(1, opened=open_it, ahead=Ahead.of(order, opened=open_it)).carry_out(order)
        assert report == Trainer(1, opened=open_it).carry_out(order)
        assert report.exit_code == ExitCode.INTERNAL


def test_memory_that_runs_out_meanwhile_is_the_machines_fault(bench: Bench) -> None:
    class Large(DirectoryStore):
        def get(self, key: str, first: int | None = None) -> bytes:
            if key.startswith("datasets"):
                raise MemoryError("so large")
            return super().get(key, first)

    def opened(uri: str) -> Store:
        return Large(bench.root)

    order = bench.order(bench.ask())
    report = Trainer(1, opened=opened, ahead=Ahead.of(order, opened=opened)).carry_out(order)
    assert report.exit_code == ExitCode.HOST_MEMORY


def test_a_trial_that_is_done_needs_no_dataset(bench: Bench) -> None:
    trial = bench.ask()
    order = bench.order(trial, 2)
    Trainer(1).carry_out(bench.order(trial))
    lose_the_dataset(bench, trial)
    assert Trainer(1, ahead=Ahead.of(order)).carry_out(order).exit_code == ExitCode.DELIVERED


def test_what_is_said_meanwhile_names_the_trial(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = bench.ask()
    ahead = Ahead.of(bench.order(trial), DatasetCache(tmp_path / "nowhere"))
    ahead.get(ahead.get((RUN, trial), lambda: None).spec.dataset, lambda: None)  # type: ignore[attr-defined]
    assert capsys.readouterr().err.startswith(f"trial {trial}: the dataset could not be cached")


def test_the_default_store_is_patient(bench: Bench) -> None:
    ahead = Ahead.of(bench.order(bench.ask()))
    opened: object = ahead.get(str(bench.root), lambda: None)
    assert isinstance(opened, PatientStore), "a result is worth waiting for"
