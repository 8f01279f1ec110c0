"""Whatever a plug-in does in the trainer, the reason names its kind, its name and its distribution, in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from metaqnn_trainer.contract.codec import decode, encode_line
from metaqnn_trainer.contract.messages import PluginRef, Recipe
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.contract.work import WorkReport
from metaqnn_trainer.sources.make import MadeDataset
from tests.trainer.conftest import Bench
from tests.trainer.odd_plugins import IDENTITY, install

LACKS, FAILED, HOPELESS = ExitCode.UNEQUIPPED, ExitCode.INTERNAL, ExitCode.BAD_REQUEST

TASKS: dict[str, tuple[ExitCode, str]] = {
    "number": (
        LACKS,
        " cannot be used: it is of type int, and a subclass of metaqnn_trainer.tasks.base.Task is wanted",
    ),
    "abstract": (LACKS, " cannot be used: it does not define batch, build, evaluate, examples, loss"),
    "no-options": (LACKS, " cannot be used: "),
    "loads": (LACKS, " failed: KeyError: 'no such table'"),
    "nan": (HOPELESS, ": the measure m is nan after epoch 1, although the net's loss is finite"),
    "reward-nan": (HOPELESS, ": the reward is inf after epoch 1, although the net's loss is finite"),
    "reward-none": (LACKS, ": the reward is None, and no number"),
    "missing": (LACKS, " names 'm' as its reward, but measures accuracy, balanced_accuracy, loss"),
    "upper": (LACKS, ": 'My Measure' cannot name a measure: "),
    "huge": (LACKS, ": the measure m is 1e+300, and no result holds more than 1e+39"),
    "text": (LACKS, ": the measure m is '0.5', and no number"),
    "no-measures": (LACKS, ": `evaluate` returned 0.5, and no measures by name"),
    "matrix": (LACKS, ": `loss` returned a tensor of the shape (64, 10), and not the sum over the examples"),
    "raises": (FAILED, " failed: ValueError: loss is lost: see"),
    "foreign": (FAILED, " failed: Model: n: must be a whole number"),
}
LAYERS: dict[str, tuple[ExitCode, str]] = {
    "dear": (HOPELESS, ": the module of DEAR(8) has 80 parameters on 1x8x8, but its `cost` says 5"),
    "wrong": (HOPELESS, ": the module of WRONG(8) makes 8x8x8 of 1x8x8, but its `output` says 9x8x8"),
    "inner": (FAILED, " failed: IndexError: out of channels"),
    "bare": (LACKS, ": the builder of BARE(8) returned Conv2d(1, 8, "),
    "gone": (LACKS, " cannot be loaded: AttributeError: module 'odd_modules' has no attribute 'gone'"),
}

TRAIN_ALL = """
import sys
from metaqnn_trainer.contract.codec import decode, encode_line
from metaqnn_trainer.contract.work import WorkOrder
from metaqnn_trainer.trial import Trainer

trainer = Trainer(threads=1)
for line in sys.stdin.buffer.readlines():
    report = trainer.carry_out(decode(WorkOrder, line, "an order"))
    sys.stdout.buffer.write(encode_line(report))
"""


def task(name: str) -> dict[str, Any]:
    return {"task": PluginRef(name=name), "plugins": {f"metaqnn.tasks:{name}": IDENTITY}}


def layer(name: str) -> dict[str, Any]:
    return {"net": f"[{name.upper()}(8), SM(10)]", "plugins": {f"metaqnn.layers:{name}": IDENTITY}}


class Reports(dict[str, WorkReport]):
    """The reports of one worker on all of these trials, by the names of what is wrong with them."""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, digits: MadeDataset) -> Reports:
    folder = tmp_path_factory.mktemp("faulty")
    bench = Bench(folder / "store", digits)
    trials = {name: bench.ask(**task(name)) for name in [*TASKS, "fine", "detached"]}
    trials |= {name: bench.ask(**layer(name)) for name in [*LAYERS, "good"]}
    # One step, whose loss is finite, blows the weights up: what is measured then is no fault of the task.
    one_step = Recipe(epochs=1, batch_size=4096, learning_rate=10.0, optimizer="sgd", max_rates=1, dropout="none")
    trials["burst"] = bench.ask(recipe=one_step, **task("burst"))
    ended = subprocess.run(
        [sys.executable, "-c", TRAIN_ALL],
        input=b"".join(encode_line(bench.order(trial)) for trial in trials.values()),
        env={**os.environ, "PYTHONPATH": str(install(folder))},
        capture_output=True,
        check=True,
        timeout=300,
    )
    lines = ended.stdout.splitlines()
    found = {report.trial: report for report in (decode(WorkReport, line, "a report") for line in lines)}
    return Reports({name: found[trial] for name, trial in trials.items()})


@pytest.mark.parametrize("name", TASKS)
def test_the_reason_names_the_task_and_its_distribution(reports: Reports, name: str) -> None:
    code, words = TASKS[name]
    said = reports[name]
    assert (said.exit_code, said.reason[: said.reason.find(IDENTITY)]) == (code, f"tasks plug-in {name!r} of ")
    assert f"{IDENTITY}{words}" in said.reason
    assert "http" not in said.reason
    assert "chance" not in said.reason


@pytest.mark.parametrize("name", LAYERS)
def test_the_reason_names_the_layer_kind_and_its_distribution(reports: Reports, name: str) -> None:
    code, words = LAYERS[name]
    said = reports[name]
    assert said.exit_code == code
    assert f"plug-in {name!r} of {IDENTITY}{words}" in said.reason.replace(f"{name.upper()!r}", f"{name!r}")


def test_a_layer_that_is_what_its_kind_says_is_trained(reports: Reports) -> None:
    assert reports["good"].exit_code == ExitCode.DELIVERED, reports["good"].reason


def test_a_fault_without_code_of_a_plug_in_names_those_of_the_trial(reports: Reports) -> None:
    said = reports["detached"]
    assert said.exit_code == FAILED
    assert said.reason.startswith("RuntimeError: element 0 of tensors does not require grad")
    assert said.reason.endswith(f"; the trial uses the tasks plug-in 'detached' of {IDENTITY}")


def test_numbers_in_tensors_are_numbers(reports: Reports) -> None:
    assert reports["fine"].exit_code == ExitCode.DELIVERED


def test_a_net_that_training_blew_up_is_untrainable(reports: Reports) -> None:
    assert reports["burst"].exit_code == ExitCode.DELIVERED, reports["burst"].reason


SOURCES: dict[str, tuple[ExitCode, str]] = {
    "number": (LACKS, " cannot be used: it is of type int, and a function is wanted"),
    "raises": (ExitCode.DATASET, " failed: ZeroDivisionError: no data today"),
    "mapping": (ExitCode.DATASET, ": it returned {'x': 1}, which is neither a Source nor Examples"),
    "texts": (ExitCode.DATASET, " failed: "),
    "empty": (ExitCode.DATASET, ": the source of empty gives impossible data: train: "),
    "small": (ExitCode.DATASET, ": the class 'a' has 1 image to train on, at least 3 are needed"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_the_reason_names_the_source_and_its_distribution(tmp_path: Path, name: str) -> None:
    code, words = SOURCES[name]
    command = [sys.executable, "-m", "metaqnn_trainer", "dataset", name, "--store", str(tmp_path / "store")]
    environment = {**os.environ, "PYTHONPATH": str(install(tmp_path))}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == code
    said = ended.stderr.splitlines()[-1]
    assert said.startswith(f"metaqnn_trainer: datasets plug-in {name!r} of {IDENTITY}{words}")
