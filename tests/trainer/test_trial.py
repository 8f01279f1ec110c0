"""A trial from request to result, and everything that can stand in its way."""

from __future__ import annotations

import hashlib
import json
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.bounds import MAX_MEMORY
from metaqnn_trainer.contract.codec import decode, encode
from metaqnn_trainer.contract.messages import CLASSIFIED, ModelOptions, PluginRef, Recipe, TrainingRequest, TrialSpec
from metaqnn_trainer.contract.result import EpochRecord, ExitCode
from metaqnn_trainer.contract.work import WorkOrder, WorkReport
from metaqnn_trainer.errors import RequestError, RunFault
from metaqnn_trainer.images.evaluate import Measured
from metaqnn_trainer.load import load_trial
from metaqnn_trainer.reading import Reader
from metaqnn_trainer.spaces.base import Space
from metaqnn_trainer.spaces.cnn.layer import Shape, describe, total_cost
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.store.base import exists
from metaqnn_trainer.tasks.base import Part, Task, measures_of
from metaqnn_trainer.tasks.classification import Classification
from metaqnn_trainer.training.memory_estimate import training_memory
from metaqnn_trainer.trial import Trainer
from tests.trainer.conftest import NET, QUICK, RUN, Bench, spec_of
from tests.trainer.training.test_course import early_end


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    return Trainer(threads=1)


def carry_out(trainer: Trainer, bench: Bench, trial: str, attempt: int = 1) -> WorkReport:
    return trainer.carry_out(bench.order(trial, attempt))


def test_a_result_with_its_siblings(trainer: Trainer, bench: Bench) -> None:
    trial = bench.ask(recipe=Recipe(epochs=3, batch_size=32, evaluate_test=True))
    assert carry_out(trainer, bench, trial, attempt=2) == WorkReport(trial=trial, exit_code=0)
    result, files = bench.result(trial), bench.files(trial)
    assert set(files) == {"request.json", "history.jsonl", "weights.safetensors", "result.json"}
    request = decode(TrainingRequest, files["request.json"], "request")
    assert (result.run, result.trial, result.attempt, result.status) == (RUN, trial, 2, "completed")
    assert result.spec_digest == request.spec.digest()
    assert result.spec_digest.startswith(trial)
    for artifact, name in ((result.weights, "weights.safetensors"), (result.history, "history.jsonl")):
        assert artifact is not None
        assert artifact.size == len(files[name])
        assert artifact.sha256 == hashlib.sha256(files[name]).hexdigest()
    records = [decode(EpochRecord, line, "line") for line in files["history.jsonl"].splitlines()]
    assert [record.epoch for record in records] == [1, 2, 3]
    assert max(record.reward for record in records) == result.reward > 0.5
    cost = total_cost(describe(parse_net(NET), Shape(1, 8)))
    assert (result.params, result.macs) == cost
    assert (
        sum(tensor.numel() for tensor in safetensors.torch.load(files["weights.safetensors"]).values()) == cost.params
    )
    assert result.test_accuracy is not None
    assert result.images_per_second > 0
    assert result.seconds > 0
    assert result.estimated_memory == training_memory(request.spec, Shape(1, 8), 32).total
    assert result.peak_memory is None or result.peak_memory > 0
    assert result.micro_batch is None
    assert set(result.versions) == {"metaqnn-orch", "torch", "python"}


def test_how_long_it_took_to_begin_and_to_end(bench: Bench) -> None:
    fresh = Trainer(threads=1)
    first, second = (bench.ask(recipe=QUICK.model_copy(update={"seed": seed})) for seed in (1, 2))
    for trial in (first, second):
        carry_out(fresh, bench, trial)
    results = bench.result(first), bench.result(second)
    for result in results:
        assert result.startup_seconds is not None
        assert result.closing_seconds is not None
        assert 0 < result.closing_seconds < result.seconds
    assert (results[0].startup_seconds or 0) > results[0].seconds  # this process is older than the trial
    assert 0 < (results[1].startup_seconds or 0) < results[1].seconds


def test_test_accuracy_is_measured_only_when_asked(trainer: Trainer, bench: Bench) -> None:
    trial = bench.ask()
    carry_out(trainer, bench, trial)
    assert bench.result(trial).test_accuracy is None


def test_the_same_request_leaves_the_same_weights_in_another_store(
    trainer: Trainer, bench: Bench, tmp_path: Path, digits: Any
) -> None:
    other = Bench(tmp_path / "other", digits)
    trial = bench.ask()
    assert other.ask() == trial
    for place in (bench, other):
        assert carry_out(trainer, place, trial).exit_code == 0
    assert bench.files(trial)["weights.safetensors"] == other.files(trial)["weights.safetensors"]


def test_a_result_that_is_there_stays_and_nothing_is_trained(trainer: Trainer, bench: Bench) -> None:
    trial = bench.ask(recipe=Recipe(epochs=10_000))
    bench.store.put(keys.result(RUN, trial), b"whoever was first")
    before = bench.files(trial)
    assert carry_out(trainer, bench, trial).exit_code == ExitCode.DELIVERED
    assert bench.files(trial) == before


def test_untrainable_and_too_large_are_results(trainer: Trainer, bench: Bench) -> None:
    hopeless = bench.ask(recipe=Recipe(epochs=3, learning_rate=10.0, restart_factor=0.9, optimizer="sgd"))
    huge = bench.ask("[C(65536,1,1), FC(65536), FC(65536), SM(10)]")
    for trial in (hopeless, huge):
        assert carry_out(trainer, bench, trial).exit_code == ExitCode.DELIVERED
    assert bench.result(hopeless).status == "untrainable"
    assert len(bench.result(hopeless).learning_rates) == 5
    assert set(bench.files(hopeless)) == {"request.json", "history.jsonl", "result.json"}
    assert bench.result(huge).status == "too_large"
    assert set(bench.files(huge)) == {"request.json", "result.json"}
    for trial in (hopeless, huge):
        assert bench.result(trial).reward == 0.1
        assert bench.result(trial).weights is None


def test_a_net_that_is_stopped_early_keeps_no_weights(trainer: Trainer, bench: Bench) -> None:
    trial = bench.ask(recipe=Recipe(epochs=4, batch_size=64), options=early_end(1.0, epochs=4))
    assert carry_out(trainer, bench, trial).exit_code == ExitCode.DELIVERED
    result = bench.result(trial)
    assert (result.status, result.epochs) == ("stopped_early", 2)
    assert result.prediction is not None
    assert result.reward <= result.reward <= result.prediction.best == 1.0
    assert set(bench.files(trial)) == {"request.json", "history.jsonl", "result.json"}
    with pytest.raises(RequestError, match="kept no weights: it is stopped_early"):
        load_trial(bench.store, RUN, trial)


def test_a_net_larger_than_a_result_can_say_is_refused(trainer: Trainer, bench: Bench) -> None:
    wide = ", ".join(["C(65536,65536,1)"] * 2)
    refused(trainer, bench, bench.ask(f"[{wide}, SM(10)]"), ExitCode.BAD_REQUEST, "parameters and")


def test_what_training_takes_may_be_more_than_any_machine_has(trainer: Trainer, bench: Bench) -> None:
    trial = bench.ask("[C(65536,11,1), C(65536,11,1), SM(10)]", Recipe(batch_size=65_536))
    assert carry_out(trainer, bench, trial).exit_code == ExitCode.DELIVERED
    result = bench.result(trial)
    assert result.status == "too_large"
    assert result.estimated_memory is not None
    assert 2**40 < result.estimated_memory <= MAX_MEMORY


def test_when_memory_runs_out_in_the_second_epoch(bench: Bench) -> None:
    asked = count(1)

    def stop() -> bool:
        if next(asked) in (9, 40):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return False

    trial = bench.ask(recipe=Recipe(epochs=3, batch_size=128))
    assert carry_out(Trainer(1, stop), bench, trial).exit_code == ExitCode.DELIVERED
    result = bench.result(trial)
    assert (result.status, result.best_epoch, result.epochs) == ("too_large", 0, 1)
    assert set(bench.files(trial)) == {"request.json", "history.jsonl", "result.json"}


def refused(trainer: Trainer, bench: Bench, trial: str, code: ExitCode, complaint: str) -> None:
    report = carry_out(trainer, bench, trial)
    assert (report.trial, report.exit_code) == (trial, code)
    assert complaint in report.reason
    assert "\n" not in report.reason
    assert not exists(bench.store, keys.result(RUN, trial))
    assert all(entry.key.endswith("/request.json") for entry in bench.store.list(keys.trial(RUN, trial)))


def test_a_request_that_is_not_there(trainer: Trainer, bench: Bench) -> None:
    refused(trainer, bench, "0" * 12, ExitCode.BAD_REQUEST, "request.json: no such object")


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"{",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b"x" * (1 << 20) + b"x",
        b'{"schema_version": 2}',
        b'{"run": "a-run", "run": "a-run"}',
    ],
    ids=["empty", "cut", "null", "no text", "deep", "long", "future", "twice"],
)
def test_poison_requests(trainer: Trainer, bench: Bench, poison: bytes) -> None:
    trial = bench.ask()
    bench.store.put(keys.request(RUN, trial), poison)
    refused(trainer, bench, trial, ExitCode.BAD_REQUEST, "request.json")


def test_requests_that_are_not_this_trials(trainer: Trainer, bench: Bench) -> None:
    trial, other = bench.ask(), bench.ask("[SM(10)]")
    bench.store.put(keys.request(RUN, trial), bench.store.get(keys.request(RUN, other)))
    refused(trainer, bench, trial, ExitCode.BAD_REQUEST, f"is the request of trial {other}")
    forged = TrainingRequest(run=RUN, trial=trial, spec=spec_of(bench.dataset, "[SM(10)]"))
    bench.store.put(keys.request(RUN, trial), encode(forged))
    refused(trainer, bench, trial, ExitCode.BAD_REQUEST, f"is a request for trial {other}, not for {trial}")


def test_a_request_with_what_a_message_may_not_hold(trainer: Trainer, bench: Bench) -> None:
    trial = bench.ask()
    asked = json.loads(bench.store.get(keys.request(RUN, trial)))
    asked["spec"]["recipe"]["learning_rate"] = float("nan")
    bench.store.put(keys.request(RUN, trial), json.dumps(asked).encode())
    refused(trainer, bench, trial, ExitCode.BAD_REQUEST, "request.json is not valid")


@pytest.mark.parametrize(
    ("place", "name", "value", "complaint"),
    [
        (("spec", "recipe"), "of_another_release", 1, "recipe.of_another_release: "),
        (("spec", "recipe"), "optimizer", "of-another-release", "recipe.optimizer: "),
        ((), "schema_version", 2, "schema_version: "),
        (("options",), "of_another_release", None, "options.of_another_release: "),
    ],
    ids=["field", "word", "schema", "option"],
)
def test_a_request_of_a_newer_release_is_no_nets_fault(
    trainer: Trainer, bench: Bench, place: tuple[str, ...], name: str, value: object, complaint: str
) -> None:
    trial = bench.ask()
    asked = json.loads(bench.store.get(keys.request(RUN, trial)))
    inside = asked
    for step in place:
        inside = inside[step]
    inside[name] = value
    bench.store.put(keys.request(RUN, trial), json.dumps(asked).encode())
    refused(trainer, bench, trial, ExitCode.UNEQUIPPED, complaint)
    asked["spec"]["recipe"]["epochs"] = "many"
    bench.store.put(keys.request(RUN, trial), json.dumps(asked).encode())
    refused(trainer, bench, trial, ExitCode.BAD_REQUEST, "request.json is not valid")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"task": PluginRef(name="unheard-of")}, "there is no 'unheard-of' among the tasks"),
        ({"space": PluginRef(name="unheard-of")}, "there is no 'unheard-of' among the spaces"),
        ({"plugins": {"metaqnn.tasks:new": "metaqnn-new 2.0"}}, "metaqnn-new 2.0 is not installed in this trainer"),
        ({"net": "[XYZ(4,3,1), SM(10)]"}, "found 'XYZ(4,3,1),"),
        ({"net": "[XYZ(4), P(9,1), SM(10)]"}, "cannot be trained here: column 2"),
    ],
    ids=["task", "space", "plug-in", "layer", "layer before others"],
)
def test_what_is_not_installed_is_no_nets_fault(
    trainer: Trainer, bench: Bench, changes: dict[str, Any], complaint: str
) -> None:
    spec = spec_of(bench.dataset).model_copy(update=changes)
    request = TrainingRequest(run=RUN, trial=spec.trial_id(), spec=spec)
    bench.store.put(keys.request(RUN, request.trial), encode(request))
    refused(trainer, bench, request.trial, ExitCode.UNEQUIPPED, complaint)


class Graded(Classification):
    """A task with options, of one family, that cannot use all data, nor all designs."""

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid")
        level: int = Field(1, ge=1)
        data: str = "digits"

    def __init__(self, spec: TrialSpec, options: Any, space: Space | None) -> None:
        super().__init__(spec, options, space)
        if options.level == 7:
            raise RequestError("level 7 needs level 6")
        if options.level == 8:
            parse_net("nonsense")

    def load(self, read: Reader, device: torch.device) -> Any:
        if self.options.data != self.spec.dataset.name:
            raise RequestError(f"there are no grades for {self.spec.dataset.name}")
        return super().load(read, device)


class Foreign(Classification):
    families = ("trees",)


class Plain(Task):
    """Everything is inherited that a task may inherit."""

    def examples(self, data: Any, part: Part) -> int:
        raise AssertionError

    batch = build = loss = evaluate = examples  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("kind", "options", "code", "complaint"),
    [
        (Graded, {"level": 0}, ExitCode.UNEQUIPPED, "task.options.level: must be greater than or equal to 1"),
        (Graded, {"level": "high"}, ExitCode.UNEQUIPPED, "task.options.level: must be a whole number"),
        (Graded, {"levels": 1}, ExitCode.UNEQUIPPED, "task.options.levels: is unknown"),
        (Graded, {"level": 7}, ExitCode.UNEQUIPPED, "level 7 needs level 6"),
        (Graded, {"data": "grades"}, ExitCode.UNEQUIPPED, "there are no grades for digits"),
        (Foreign, {}, ExitCode.UNEQUIPPED, "trains designs of the family trees alone, and space.family is cnn"),
        (Plain, {}, ExitCode.UNEQUIPPED, "the task made-up builds no nets of the cnn family"),
        (Graded, {"level": 8}, ExitCode.BAD_REQUEST, "column 1"),
    ],
    ids=["range", "type", "unknown", "together", "data", "family", "no cnn", "this net alone"],
)
def test_what_is_wrong_with_the_run_is_no_nets_fault(
    kind: type[Task], options: dict[str, Any], code: ExitCode, complaint: str, bench: Bench
) -> None:
    trainer = Trainer(threads=1, tasks=lambda name: kind)
    trial = bench.ask(task=PluginRef(name="made-up", options=options))
    refused(trainer, bench, trial, code, complaint)


def test_a_net_that_does_not_fit_the_device_cannot_be_tried(bench: Bench) -> None:
    class Full(Classification):
        def memory(self, data: Any, batch: int) -> int:
            return 1 << 60

    with pytest.raises(RunFault, match="is too large: training needs at least"):
        Trainer(threads=1, tasks=lambda name: Full).one_step(bench.store, spec_of(bench.dataset))


def test_measures_are_declared_for_ones_own_evaluate() -> None:
    class More(Classification):
        def evaluate(self, *arguments: Any) -> dict[str, float]:
            return {**super().evaluate(*arguments), "more": 1.0}

    class Less(More):
        measures = ("accuracy",)

    assert measures_of(Classification) == CLASSIFIED == Measured._fields
    assert measures_of(More) == ()
    assert measures_of(Less) == measures_of(type("Same", (Less,), {})) == ("accuracy",)


def test_a_module_that_is_missing_when_it_is_needed_is_no_nets_fault(bench: Bench) -> None:
    class Late(Classification):
        def load(self, read: Reader, device: torch.device) -> Any:
            import_module("a_library_that_the_image_lacks")

    trainer = Trainer(threads=1, tasks=lambda name: Late)
    refused(trainer, bench, bench.ask(), ExitCode.UNEQUIPPED, "No module named 'a_library_that_the_image_lacks'")


def test_nets_that_cannot_be_built(trainer: Trainer, bench: Bench) -> None:
    refused(trainer, bench, bench.ask("[P(9,1), SM(10)]"), ExitCode.BAD_REQUEST, "does not fit")
    refused(
        trainer,
        bench,
        bench.ask("[SM(11)]"),
        ExitCode.BAD_REQUEST,
        "[SM(11)] does not end in 10 classes, as digits has",
    )


def test_a_dataset_that_is_missing_or_damaged(trainer: Trainer, bench: Bench, digits: Any) -> None:
    key = keys.dataset(digits.ref.name, digits.ref.digest)
    fresh = Trainer(threads=1)
    bench.store.delete(key)
    refused(fresh, bench, bench.ask(), ExitCode.DATASET, "the dataset is missing")
    bench.store.put(key, digits.data[:5000])
    refused(fresh, bench, bench.ask(), ExitCode.DATASET, "is damaged")


def test_a_store_that_cannot_be_used(trainer: Trainer, bench: Bench) -> None:
    report = trainer.carry_out(WorkOrder(store="gs://bucket", run=RUN, trial="0" * 12, attempt=1))
    assert report.exit_code == ExitCode.BAD_REQUEST
    trial = bench.ask()
    carry_out(trainer, bench, trial)
    weights = bench.weights_key(trial)
    for key in (weights, keys.result(RUN, trial)):
        bench.store.delete(key)
    (bench.root / weights).mkdir()
    report = carry_out(trainer, bench, trial)
    assert report.exit_code == ExitCode.STORE_REFUSED
    assert weights in report.reason
    assert not exists(bench.store, keys.result(RUN, trial))


def test_options_of_the_model_reach_the_weights(trainer: Trainer, bench: Bench) -> None:
    net = "[C(8,3,1), GAP(10), SM(10)]"
    trial = bench.ask(net, QUICK.model_copy(update={"chance_factor": 1.0}), model=ModelOptions(batch_norm=True))
    carry_out(trainer, bench, trial)
    result = bench.result(trial)
    assert result.params == total_cost(describe(parse_net(net), Shape(1, 8), ModelOptions(batch_norm=True))).params
    if result.status == "completed":
        assert "0_norm.running_mean" in safetensors.torch.load(bench.files(trial)["weights.safetensors"])
