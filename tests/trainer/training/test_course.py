"""Interrupted at any step and gone on with, training ends as it would have without."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.messages import (
    LearningCurve,
    ModelOptions,
    PredictionRule,
    QuarterExample,
    QuarterRule,
    RatePhase,
    Recipe,
    TrainerOptions,
    TrialSpec,
)
from metaqnn_trainer.contract.result import Position
from metaqnn_trainer.errors import Preempted
from metaqnn_trainer.images.dataset import Dataset, prepare
from metaqnn_trainer.sources.make import MadeDataset
from metaqnn_trainer.store.base import exists
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.training.checkpoint import Checkpoint, Checkpoints, decode_checkpoint, encode_checkpoint
from metaqnn_trainer.training.memory import DeviceMemory
from metaqnn_trainer.training.memory_estimate import training_memory
from metaqnn_trainer.training.outcome import Training
from metaqnn_trainer.training.session import DEFAULTS
from tests.trainer.conftest import RUN, spec_of, train

CASES: dict[str, tuple[str, dict[str, Any], ModelOptions]] = {
    "adam": ("[C(16,3,1), P(2,2), FC(32), SM(10)]", {"mirror": True, "translate": 1}, ModelOptions()),
    "sgd": ("[C(16,3,1), FC(32), FC(16), SM(10)]", {"optimizer": "sgd", "learning_rate": 0.05}, ModelOptions()),
    "phases": (
        "[C(16,3,1), FC(32), SM(10)]",
        {
            "optimizer": "sgd",
            "epochs": 3,
            "phases": (RatePhase(epochs=1, learning_rate=0.05), RatePhase(epochs=2, learning_rate=0.01)),
        },
        ModelOptions(),
    ),
    "augmented and weighted": (
        "[C(16,3,1), FC(32), SM(10)]",
        {"mirror": True, "crop": 0.6, "rotation": 15.0, "translate": 1, "cutout": 2, "brightness": 0.2}
        | {"contrast": 0.2, "class_weights": "balanced", "learning_rate": 0.01, "chance_factor": 1.0},
        ModelOptions(),
    ),
    "batch norm": ("[C(16,3,1), C(16,3,1), GAP(10), SM(10)]", {"learning_rate": 0.01}, ModelOptions(batch_norm=True)),
    "a restart": ("[C(8,3,1), FC(32), SM(10)]", {"learning_rate": 10.0, "restart_factor": 0.001}, ModelOptions()),
    "untrainable": (
        "[C(8,3,1), SM(10)]",
        {"learning_rate": 10.0, "restart_factor": 0.9, "optimizer": "sgd", "max_rates": 3},
        ModelOptions(),
    ),
}


def checkpoints(root: Path, spec: TrialSpec, seconds: float = 0, within_epoch: float = 60) -> Checkpoints:
    return Checkpoints(DirectoryStore(root), RUN, spec, seconds, lambda line: pytest.fail(line), within_epoch)


def facts(training: Training) -> dict[str, Any]:
    """Everything that must not depend on interruptions."""
    names = ("status", "reason", "reward", "last_reward", "measures", "best_epoch", "epochs", "test_measures")
    return {name: getattr(training, name) for name in (*names, "learning_rates", "images", "micro_batch")} | {
        "records": [record.model_dump(exclude={"seconds"}) for record in training.records],
        "weights": {name: tensor.numpy().tobytes() for name, tensor in (training.weights or {}).items()},
    }


def after(steps: int) -> Callable[[], bool]:
    """Says stop when it has been asked more than so many times."""
    asked = count(1)
    return lambda: next(asked) > steps


def interrupted(
    spec: TrialSpec,
    dataset: Dataset,
    root: Path,
    stops: Callable[[], int],
    memory: DeviceMemory | None = None,
    options: TrainerOptions = DEFAULTS,
) -> tuple[Training, int]:
    """Trained in as many attempts as it takes, each stopped at its stops()-th step; and how many those were."""
    for attempt in count(1):
        with closing(checkpoints(root, spec, seconds=random.Random(attempt).choice([0, 3600]))) as kept:
            try:
                stop = after(stops())
                return train(spec, dataset, lambda record: None, options, kept, stop, memory), attempt
            except Preempted:
                continue
    raise AssertionError("unreachable")


@pytest.mark.parametrize("size", [32, 64], ids=["all batches prepared at once", "each batch by itself"])
def test_stopped_at_every_pause_of_the_last_step_and_its_evaluation(
    size: int, digits: MadeDataset, digits_dataset: Dataset, tmp_path: Path
) -> None:
    recipe = Recipe(epochs=2, batch_size=512, translate=1, chance_factor=1.0, max_rates=1, learning_rate=0.01)
    spec = spec_of(digits.ref, "[P(2,2), C(4,3,2), SM(10)]", recipe, image_size=size)
    images = prepare(digits_dataset, size, torch.device("cpu"))
    undisturbed = train(spec, images, lambda record: None)
    assert undisturbed.status == "completed"
    assert len(undisturbed.records) == 2
    for stops in range(2, 8):  # three steps of an epoch, and the batches of its evaluation
        again, attempts = interrupted(spec, images, tmp_path / str(stops), lambda: stops)  # noqa: B023
        assert attempts > 1
        assert facts(again) == facts(undisturbed)


@pytest.mark.parametrize("case", CASES)
def test_stopped_at_every_step(case: str, digits: MadeDataset, digits_dataset: Dataset, tmp_path: Path) -> None:
    net, options, model = CASES[case]
    recipe = Recipe(**({"epochs": 3, "batch_size": 256, "evaluate_test": True} | options))
    spec = spec_of(digits.ref, net, recipe, model=model)
    undisturbed = train(spec, digits_dataset, lambda record: None)
    assert undisturbed.status == ("untrainable" if case == "untrainable" else "completed")
    again, attempts = interrupted(spec, digits_dataset, tmp_path, lambda: 3)
    assert attempts > 5
    assert facts(again) == facts(undisturbed)
    assert again.resumed_from is not None


def test_stopped_at_random(digits: MadeDataset, digits_dataset: Dataset, tmp_path: Path) -> None:
    spec = spec_of(digits.ref, recipe=Recipe(epochs=4, batch_size=64, mirror=True))
    undisturbed = train(spec, digits_dataset, lambda record: None)
    for seed in range(3):
        again, _ = interrupted(spec, digits_dataset, tmp_path / str(seed), partial(random.Random(seed).randint, 2, 60))
        assert facts(again) == facts(undisturbed)


def test_stopped_while_it_is_trained_in_parts(digits: MadeDataset, digits_dataset: Dataset, tmp_path: Path) -> None:
    spec = spec_of(digits.ref, recipe=Recipe(epochs=2, batch_size=256))
    need = training_memory(spec, digits_dataset.shape, 256).total
    small, large = (DeviceMemory(size, lambda: 2**60) for size in (need - 1, 2**40))
    undisturbed = train(spec, digits_dataset, lambda record: None, memory=small)
    again, attempts = interrupted(spec, digits_dataset, tmp_path / "small", lambda: 8, small)
    assert attempts > 1
    assert undisturbed.micro_batch is not None
    assert facts(again) == facts(undisturbed)
    stopped(spec, digits_dataset, tmp_path, 9, small)
    elsewhere = train(
        spec, digits_dataset, lambda record: None, TrainerOptions(), checkpoints(tmp_path, spec), memory=large
    )
    assert facts(elsewhere) == facts(undisturbed)  # it goes on as it began


def test_stopped_before_anything_was_done_there_is_nothing_to_keep(
    digits: MadeDataset, digits_dataset: Dataset, tmp_path: Path
) -> None:
    spec = spec_of(digits.ref)
    with pytest.raises(Preempted, match="rate 1, epoch 1, step 0"):
        train(spec, digits_dataset, lambda record: None, TrainerOptions(), checkpoints(tmp_path, spec), after(0))
    assert not exists(DirectoryStore(tmp_path), keys.checkpoint(RUN, spec.trial_id()))


def stopped(spec: TrialSpec, dataset: Dataset, root: Path, steps: int, memory: DeviceMemory | None = None) -> bytes:
    """The checkpoint of training that was stopped after so many steps."""
    with pytest.raises(Preempted):
        train(spec, dataset, lambda record: None, TrainerOptions(), checkpoints(root, spec), after(steps), memory)
    return DirectoryStore(root).get(keys.checkpoint(RUN, spec.trial_id()))


def test_a_checkpoint_of_this_trial_that_does_not_fit_is_no_hindrance(
    digits: MadeDataset, digits_dataset: Dataset, tmp_path: Path
) -> None:
    spec = spec_of(digits.ref, recipe=Recipe(epochs=2, batch_size=256))
    whole = decode_checkpoint(stopped(spec, digits_dataset, tmp_path, 9), spec)
    expected = facts(train(spec, digits_dataset, lambda record: None))
    without = {name: tensor for name, tensor in whole.tensors.items() if name != "model/0_conv.weight"}
    forged = [
        Checkpoint(whole.state, whole.records, without),
        Checkpoint(whole.state, whole.records, whole.tensors | {"best/0_conv.weight": torch.zeros(3)}),
        Checkpoint(whole.state, whole.records, whole.tensors | {"optimizer/step/nonsense": torch.zeros(())}),
        Checkpoint(whole.state, whole.records, whole.tensors | {"loss": torch.zeros(7)}),
        Checkpoint(whole.state.model_copy(update={"position": Position(epoch=4)}), whole.records, whole.tensors),
    ]
    for checkpoint in forged:
        said: list[str] = []
        store = DirectoryStore(tmp_path)
        store.put(keys.checkpoint(RUN, spec.trial_id()), encode_checkpoint(checkpoint))
        kept = Checkpoints(store, RUN, spec, 3600, said.append)
        again = train(spec, digits_dataset, lambda record: None, TrainerOptions(), kept)
        assert facts(again) == expected
        assert again.resumed_from is None
        assert len(said) == 1
        assert "starts from the beginning" in said[0]


def early_end(best: float, epochs: int, confidence: float = 0.9) -> TrainerOptions:
    """All sorts of nets that gained nothing after their second epoch."""
    rng = random.Random(0)
    examples = []
    for _ in range(60):
        first, second = sorted((rng.uniform(0, 0.9), rng.uniform(0, 0.9)))
        size = {"params": round(10 ** rng.uniform(2, 6)), "macs": round(10 ** rng.uniform(3, 7))}
        curve = (first, *[second] * (epochs - 1))
        examples.append(LearningCurve(**size, layers=rng.randrange(1, 9), accuracies=curve))
    return TrainerOptions(early_end=PredictionRule(best=best, confidence=confidence, examples=tuple(examples)))


def after_a_quarter(epochs: int, threshold: float) -> TrainerOptions:
    examples = tuple(QuarterExample(quarter=number / 100, final=(number + 9) / 100) for number in range(90))
    return TrainerOptions(early_end=QuarterRule(epochs=epochs, threshold=threshold, best=1.0, examples=examples))


@pytest.mark.parametrize("case", ["sgd", "a restart"])
def test_stopped_after_a_quarter_and_so_when_it_was_interrupted(
    case: str, digits: MadeDataset, digits_dataset: Dataset, tmp_path: Path
) -> None:
    net, recipe, model = CASES[case]
    spec = spec_of(digits.ref, net, Recipe(**({"epochs": 5, "batch_size": 256} | recipe)), model=model)
    options = after_a_quarter(5, threshold=1.0)
    undisturbed = train(spec, digits_dataset, lambda record: None, options)
    assert (undisturbed.status, undisturbed.epochs, undisturbed.weights) == ("stopped_early", 2, None)
    reached = max(record.reward for record in undisturbed.records[-2:])
    prediction = undisturbed.prediction
    assert prediction is not None
    assert prediction.accuracy == pytest.approx(min(reached + 0.09, 1.0))
    assert undisturbed.reason.startswith(
        f"after epoch 2 of 5 its reward was {reached:.4f}, the best third's at least 1.0000; the predicted reward was "
    )
    again, attempts = interrupted(spec, digits_dataset, tmp_path, lambda: 3, options=options)
    assert attempts > 2
    assert facts(again) == facts(undisturbed)
    assert again.prediction == prediction
    going_on = train(spec, digits_dataset, lambda record: None, after_a_quarter(5, threshold=reached))
    assert (going_on.status, going_on.epochs) == ("completed", 5)


@pytest.mark.parametrize("case", ["sgd", "a restart"])
def test_stopped_early_and_so_when_it_was_interrupted(
    case: str, digits: MadeDataset, digits_dataset: Dataset, tmp_path: Path
) -> None:
    net, recipe, model = CASES[case]
    spec = spec_of(digits.ref, net, Recipe(**({"epochs": 5, "batch_size": 256} | recipe)), model=model)
    options = early_end(1.0, epochs=5)
    undisturbed = train(spec, digits_dataset, lambda record: None, options)
    assert (undisturbed.status, undisturbed.epochs) == ("stopped_early", 2)
    counted = undisturbed.records[-2:]
    assert undisturbed.reward == max(record.reward for record in counted) < 1.0
    assert undisturbed.learning_rates == ([0.05] if case == "sgd" else pytest.approx([10, 0.01]))
    assert undisturbed.weights is None
    prediction = undisturbed.prediction
    assert prediction is not None
    assert prediction.best == 1.0
    assert undisturbed.reason == (
        f"after epoch 2 of 5 the predicted reward was {prediction.accuracy:.4f} ± {prediction.spread:.4f}, "
        "and the best net has 1.0000"
    )
    for steps in (3, 5):
        root = tmp_path / str(steps)
        again, attempts = interrupted(spec, digits_dataset, root, partial(int, steps), options=options)
        assert attempts > 2
        assert facts(again) == facts(undisturbed)
        assert again.prediction == prediction


def test_a_net_that_may_beat_the_best_is_trained_to_its_end(digits: MadeDataset, digits_dataset: Dataset) -> None:
    spec = spec_of(digits.ref, recipe=Recipe(epochs=3, batch_size=256))
    whole = facts(train(spec, digits_dataset, lambda record: None))
    for options in (early_end(0.1, epochs=3), early_end(1.0, epochs=4)):  # no better one; another number of epochs
        training = train(spec, digits_dataset, lambda record: None, options)
        assert facts(training) == whole
        assert training.prediction is None
