"""The time limit: whenever it comes, the best epoch until then is the answer, and no step is taken after it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from itertools import count, pairwise, repeat
from pathlib import Path

import pytest
import torch

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.checks import check_result
from metaqnn_trainer.contract.messages import Recipe, TrainerOptions, TrainingRequest, TrialSpec
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.contract.work import WorkReport
from metaqnn_trainer.delivery import result_of
from metaqnn_trainer.errors import Preempted
from metaqnn_trainer.images.dataset import Dataset
from metaqnn_trainer.sources.make import MadeDataset
from metaqnn_trainer.spaces.cnn.spec import spec_cost
from metaqnn_trainer.training.checkpoint import decode_checkpoint
from metaqnn_trainer.training.memory import DeviceMemory
from metaqnn_trainer.training.memory_estimate import training_memory
from metaqnn_trainer.training.outcome import Training
from tests.trainer.conftest import RUN, Bench, spec_of, train
from tests.trainer.test_worker import ENDLESS, order, receive, send, worker
from tests.trainer.training.test_course import CASES, after, checkpoints, stopped

LIMIT = 1000.0
OPTIONS = TrainerOptions(time_limit_seconds=LIMIT)


def up_at(moment: int) -> Callable[[], float]:
    """Seconds used: the limit's when asked for the `moment`-th time, which is after every step and evaluated batch."""
    asked = count(1)
    return lambda: LIMIT if next(asked) >= moment else 0.0


def limited(spec: TrialSpec, dataset: Dataset, moment: int, memory: DeviceMemory | None = None) -> Training:
    return train(spec, dataset, lambda record: None, OPTIONS, memory=memory, elapsed=up_at(moment))


def check_timed_out(spec: TrialSpec, training: Training, whole: Training) -> None:
    """It is what `whole` training was at some moment, and its result can be told."""
    request = TrainingRequest(run=RUN, trial=spec.trial_id(), spec=spec)
    result = result_of(request, 1, training, spec_cost(spec, 1), torch.device("cpu"), 0.0, 0.0, {})
    check_result(result, spec, spec_cost(spec, 1), 10)
    assert training.status == result.status == "timed_out"
    assert training.reason.startswith("the time limit of 1000 s was reached ")
    assert training.test_measures.get("accuracy") is None
    assert training.prediction is None
    records = [record.model_dump(exclude={"seconds"}) for record in training.records]
    assert records == [record.model_dump(exclude={"seconds"}) for record in whole.records[: len(records)]]
    rate = len(training.learning_rates)
    counted = [record.reward for record in training.records if record.rate == rate]
    if rate < len(whole.learning_rates) or not counted:
        assert (training.reward, training.last_reward, training.best_epoch) == (0.1, 0.1, 0)
        assert training.weights is None
    else:
        assert training.reward == max(counted)
        assert training.last_reward == counted[-1]
        assert training.best_epoch == counted.index(max(counted)) + 1
        assert training.weights is not None


@pytest.mark.parametrize("case", ["adam", "a restart", "untrainable"])
def test_at_every_moment(case: str, digits: MadeDataset, digits_dataset: Dataset) -> None:
    net, options, model = CASES[case]
    recipe = Recipe(**({"epochs": 2, "batch_size": 512, "evaluate_test": True} | options))
    spec = spec_of(digits.ref, net, recipe, model=model)
    whole = train(spec, digits_dataset, lambda record: None)
    reasons, images = set[str](), [0]
    for moment in count(1):
        training = limited(spec, digits_dataset, moment)
        if training.status == whole.status:
            break
        check_timed_out(spec, training, whole)
        reasons.add(training.reason.removeprefix("the time limit of 1000 s was reached "))
        images.append(training.images)
    assert all(0 <= later - earlier <= 512 for earlier, later in pairwise(images)), "a step at a time"
    assert images[1] == 0, "before the first step"
    assert images[-1] == whole.images
    expected = {"in epoch 1"} if case == "untrainable" else {"in epoch 1", "in epoch 2"}
    assert reasons == expected | ({"during the test on the test images"} if whole.status == "completed" else set())


def test_in_micro_batches(digits: MadeDataset, digits_dataset: Dataset) -> None:
    spec = spec_of(digits.ref, recipe=Recipe(epochs=2, batch_size=256))
    small = DeviceMemory(training_memory(spec, digits_dataset.shape, 256).total - 1, lambda: 2**60)
    whole = train(spec, digits_dataset, lambda record: None, memory=small)
    assert whole.micro_batch is not None
    for moment in (1, 4, 12):
        training = limited(spec, digits_dataset, moment, small)
        assert training.micro_batch == whole.micro_batch
        check_timed_out(spec, training, whole)


def test_what_earlier_attempts_used_counts(digits: MadeDataset, digits_dataset: Dataset, tmp_path: Path) -> None:
    spec = spec_of(digits.ref, recipe=Recipe(epochs=9, batch_size=256))
    for seconds, steps in ((400.0, 12), (300.0, 19)):
        used = repeat(seconds).__next__
        with closing(checkpoints(tmp_path, spec, 3600)) as kept, pytest.raises(Preempted):
            train(spec, digits_dataset, lambda record: None, OPTIONS, kept, after(steps), elapsed=used)
    left = decode_checkpoint(_checkpoint(tmp_path, spec), spec)
    assert left.state.seconds == 700
    with closing(checkpoints(tmp_path, spec, 3600)) as kept:
        training = train(spec, digits_dataset, lambda record: None, OPTIONS, kept, elapsed=lambda: 299.0)
        assert training.status == "completed"
        training = train(spec, digits_dataset, lambda record: None, OPTIONS, kept, elapsed=lambda: 300.0)
    assert training.status == "timed_out"
    assert training.images == left.state.images, "not a step more"
    assert len(training.records) == len(left.records) == training.epochs > 1
    assert training.weights is not None
    assert all(torch.equal(tensor, training.weights[name]) for name, tensor in left.part("best").items())


def _checkpoint(root: Path, spec: TrialSpec) -> bytes:
    return (root / keys.checkpoint(RUN, spec.trial_id())).read_bytes()


def test_an_answer_comes_before_a_checkpoint(digits: MadeDataset, digits_dataset: Dataset, tmp_path: Path) -> None:
    spec = spec_of(digits.ref, recipe=Recipe(epochs=9, batch_size=256))
    with closing(checkpoints(tmp_path, spec, 3600)) as kept:
        both = train(spec, digits_dataset, lambda record: None, OPTIONS, kept, after(11), elapsed=up_at(12))
    assert (both.status, both.epochs) == ("timed_out", 1)


def test_a_process_begins_with_its_start_and_later_orders_with_themselves(bench: Bench, tmp_path: Path) -> None:
    soon, later = (TrainerOptions(time_limit_seconds=seconds) for seconds in (0.5, 2.5))
    first = bench.ask(recipe=ENDLESS, options=soon)
    second = bench.ask(recipe=ENDLESS.model_copy(update={"seed": 1, "batch_size": 64}), options=later)
    with worker([sys.executable, "-m", "metaqnn_trainer"], tmp_path / "log") as process:
        for trial in (first, second):
            send(process, order(bench, trial))
            assert receive(process) == WorkReport(trial=trial, exit_code=ExitCode.DELIVERED)
    begun, trained = bench.result(first), bench.result(second)
    assert begun.status == trained.status == "timed_out"
    assert (begun.images_per_second, begun.best_epoch, begun.weights) == (0, 0, None), "torch took longer than that"
    assert begun.startup_seconds is None
    assert trained.images_per_second > 0
    assert trained.weights is not None
    assert trained.seconds >= 2.0


@pytest.mark.parametrize("case", ["adam", "batch norm"])
def test_checkpoints_within_an_epoch_change_nothing(
    case: str, digits: MadeDataset, digits_dataset: Dataset, tmp_path: Path
) -> None:
    net, options, model = CASES[case]
    spec = spec_of(digits.ref, net, Recipe(**({"epochs": 2, "batch_size": 128} | options)), model=model)
    whole = train(spec, digits_dataset, lambda record: None)
    moments = set[int]()
    for lost in (3, 6, 14):  # steps after which the process is killed: what it leaves is of an earlier step
        root = tmp_path / str(lost)
        with closing(checkpoints(root, spec, 0, within_epoch=0)) as kept, pytest.raises(KeyboardInterrupt):
            train(spec, digits_dataset, lambda record: None, TrainerOptions(), kept, _killed_after(lost))
        state = decode_checkpoint(_checkpoint(root, spec), spec).state
        moments.add(state.position.step)
        with closing(checkpoints(root, spec, 3600)) as kept:
            again = train(spec, digits_dataset, lambda record: None, checkpoints=kept)
        assert again.resumed_from == state.position
        assert again.weights is not None
        assert whole.weights is not None
        assert all(torch.equal(tensor, whole.weights[name]) for name, tensor in again.weights.items())
    assert moments - {0}, "between steps"


def _killed_after(steps: int) -> Callable[[], bool]:
    asked = count(1)

    def stop() -> bool:
        if next(asked) > steps:
            raise KeyboardInterrupt
        return False

    return stop


def test_nothing_is_kept_of_a_course_that_is_over(digits: MadeDataset, digits_dataset: Dataset, tmp_path: Path) -> None:
    net, options, model = CASES["untrainable"]
    spec = spec_of(digits.ref, net, Recipe(epochs=3, batch_size=512, **options), model=model)
    with closing(checkpoints(tmp_path, spec, 0)) as kept:
        train(spec, digits_dataset, lambda record: None, checkpoints=kept)
    assert decode_checkpoint(_checkpoint(tmp_path, spec), spec).state.position.rate <= spec.recipe.max_rates
    assert decode_checkpoint(stopped(spec, digits_dataset, tmp_path / "other", 9), spec)
