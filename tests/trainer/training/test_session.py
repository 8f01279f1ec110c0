"""Training by the recipe: it learns, starts again, gives up, and does the same twice."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import torch

from metaqnn_trainer.contract.messages import ModelOptions, Recipe, TrialSpec
from metaqnn_trainer.contract.result import EpochRecord
from metaqnn_trainer.errors import HostMemoryError
from metaqnn_trainer.images.dataset import Dataset, prepare
from metaqnn_trainer.sources.make import MadeDataset
from metaqnn_trainer.training.memory import DeviceMemory
from metaqnn_trainer.training.memory_estimate import training_memory
from metaqnn_trainer.training.outcome import Training
from tests.trainer.conftest import NET, spec_of, train


def run(
    digits: MadeDataset, dataset: Dataset, net: str = NET, model: ModelOptions | None = None, **recipe: Any
) -> Training:
    settings = Recipe(**({"epochs": 2, "batch_size": 64} | recipe))
    spec = spec_of(digits.ref, net, settings, model=model or ModelOptions())
    return train(spec, dataset, lambda record: None)


def same(first: Training, second: Training) -> bool:
    assert first.weights is not None
    assert second.weights is not None
    return all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)


def test_a_small_net_learns_the_digits(digits: MadeDataset, digits_dataset: Dataset) -> None:
    seen: list[EpochRecord] = []
    spec = spec_of(
        digits.ref, "[C(32,3,1), P(2,2), FC(64), SM(10)]", Recipe(epochs=8, batch_size=32, evaluate_test=True)
    )
    training = train(spec, digits_dataset, seen.append)
    assert training.status == "completed"
    assert training.reward > 0.9
    assert training.test_measures["accuracy"] > 0.9
    assert training.epochs == 8
    assert seen == training.records
    accuracies = [record.reward for record in seen]
    assert training.reward == max(accuracies)
    assert training.best_epoch == accuracies.index(max(accuracies)) + 1
    assert training.last_reward == accuracies[-1]
    assert [record.epoch for record in seen] == list(range(1, 9))
    assert seen[4].learning_rate == 1e-3
    assert seen[5].learning_rate == pytest.approx(2e-4)
    assert training.images == 8 * 1151
    assert training.learning_rates == [1e-3]


def test_the_same_request_gives_the_same_weights_bit_for_bit(digits: MadeDataset, digits_dataset: Dataset) -> None:
    options: dict[str, Any] = {"mirror": True, "translate": 1}
    first = run(digits, digits_dataset, **options)
    torch.manual_seed(123)  # what the process did before plays no part
    torch.rand(10)
    second = run(digits, digits_dataset, **options)
    assert same(first, second)
    assert [record.reward for record in first.records] == [record.reward for record in second.records]
    assert not same(first, run(digits, digits_dataset, seed=1, **options))


@pytest.mark.parametrize(
    ("net", "model"),
    [
        ("[C(16,3,1), GAP(10), SM(10)]", ModelOptions(gap_head="code", batch_norm=True, activation="elu")),
        ("[C(16,2,2), C(16,3,1), GAP(10), SM(10)]", ModelOptions(batch_norm=True)),
        ("[SM(10)]", ModelOptions()),
        ("[FC(32), FC(16), SM(10)]", ModelOptions(activation="elu")),
        ("[C(16,3,1), BN(), AP(2,2), SM(10)]", ModelOptions()),
        ("[DSC(32,3,1), P(2,2), DSC(32,3,1), SM(10)]", ModelOptions(batch_norm=True)),
        ("[RES(16,3,1), RES(16,3,2), GAP(10), SM(10)]", ModelOptions()),
    ],
)
def test_every_kind_of_net_trains(digits: MadeDataset, digits_dataset: Dataset, net: str, model: ModelOptions) -> None:
    training = run(digits, digits_dataset, net, model, learning_rate=0.01, batch_size=32)
    assert training.status == "completed"
    assert training.reward > 0.2  # chance is 0.1


def test_sgd_trains_too(digits: MadeDataset, digits_dataset: Dataset) -> None:
    assert run(digits, digits_dataset, optimizer="sgd", learning_rate=0.05).reward > 0.5


def test_weight_decay_adds_to_the_gradient(digits: MadeDataset, digits_dataset: Dataset) -> None:
    decayed, plain = (run(digits, digits_dataset, "[FC(32), SM(10)]", weight_decay=decay) for decay in (0.1, 0.0))
    assert decayed.weights is not None
    assert plain.weights is not None
    assert decayed.weights["0_fc.weight"].norm() < plain.weights["0_fc.weight"].norm()


def test_images_of_another_size(digits: MadeDataset, digits_dataset: Dataset) -> None:
    larger = prepare(digits_dataset, 12, torch.device("cpu"))
    spec = spec_of(digits.ref, NET, Recipe(epochs=2, batch_size=32), image_size=12)
    assert train(spec, larger, lambda record: None).reward > 0.5


def test_too_high_a_rate_starts_again_and_in_the_end_gives_up(digits: MadeDataset, digits_dataset: Dataset) -> None:
    training = run(digits, digits_dataset, learning_rate=10.0, restart_factor=0.9, optimizer="sgd")
    assert training.status == "untrainable"
    assert "no better than chance" in training.reason
    assert training.reward == training.last_reward == 0.1
    assert training.weights is None
    assert training.best_epoch == 0
    assert training.epochs == 1
    assert training.learning_rates == pytest.approx([10, 9, 8.1, 7.29, 6.561])
    assert [(record.rate, record.epoch) for record in training.records] == [(rate, 1) for rate in range(1, 6)]
    assert all(record.train_loss is None or math.isfinite(record.train_loss) for record in training.records)
    assert training.images == 5 * 1151


def test_a_lower_rate_may_succeed(digits: MadeDataset, digits_dataset: Dataset) -> None:
    training = run(digits, digits_dataset, learning_rate=10.0, restart_factor=0.001)
    assert training.status == "completed"
    assert training.learning_rates == pytest.approx([10.0, 0.01])
    assert training.epochs == 2
    assert [(record.rate, record.epoch) for record in training.records] == [(1, 1), (2, 1), (2, 2)]
    assert training.reward > 0.5


def trained(spec: TrialSpec, dataset: Dataset, size: int, free: int = 2**60, stop: Any = lambda: False) -> Training:
    return train(spec, dataset, lambda record: None, stop=stop, memory=DeviceMemory(size, lambda: free))


def too_large(training: Training) -> bool:
    assert training.reward == training.last_reward == 0.1
    assert (training.best_epoch, training.weights) == (0, None)
    assert "\n" not in training.reason
    return training.status == "too_large"


def test_a_net_beyond_all_memory_is_too_large_before_anything_is_allocated(
    digits: MadeDataset, digits_dataset: Dataset
) -> None:
    training = run(digits, digits_dataset, "[C(65536,1,1), FC(65536), FC(65536), SM(10)]")
    assert too_large(training)
    assert training.reason.startswith("training needs at least 4163.0 GiB of memory, but the device has ")
    assert training.estimated_memory is not None
    assert training.estimated_memory > 2**40
    assert training.peak_memory is None or training.peak_memory < 2**26


def test_what_does_not_fit_whole_is_trained_in_parts(digits: MadeDataset, digits_dataset: Dataset) -> None:
    spec = spec_of(digits.ref, NET, Recipe(epochs=3, batch_size=128, dropout="none"))
    whole = trained(spec, digits_dataset, 2**40)
    need = training_memory(spec, digits_dataset.shape, 128).total
    parts = trained(spec, digits_dataset, need - 1)
    assert (whole.micro_batch, parts.micro_batch) == (None, 32)
    assert parts.estimated_memory is not None
    assert parts.estimated_memory < need / 2
    assert whole.estimated_memory == need
    assert parts.images == whole.images
    losses = [[record.train_loss for record in training.records] for training in (whole, parts)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert too_large(trained(spec, digits_dataset, need // 100))


def failing(*steps: int) -> Callable[[], bool]:
    """Asked whether to stop, at some of the times that it is asked memory has run out."""
    asked = count(1)

    def stop() -> bool:
        if next(asked) in steps:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2.00 GiB")
        return False

    return stop


def test_when_memory_runs_out_once_training_begins_anew_in_parts(digits: MadeDataset, digits_dataset: Dataset) -> None:
    spec = spec_of(digits.ref, NET, Recipe(epochs=2, batch_size=128))
    expected = trained(spec, digits_dataset, training_memory(spec, digits_dataset.shape, 128).total - 1)
    for step in (1, 3, 15):  # at once, in the first epoch, in the second
        training = trained(spec, digits_dataset, 2**40, stop=failing(step))
        assert (training.status, training.micro_batch) == ("completed", 32)
        assert same(training, expected)
        assert [record.epoch for record in training.records] == [1, 2]


def test_when_memory_runs_out_twice_the_net_is_too_large(digits: MadeDataset, digits_dataset: Dataset) -> None:
    spec = spec_of(digits.ref, NET, Recipe(epochs=2, batch_size=128))
    training = trained(spec, digits_dataset, 2**40, stop=failing(3, 20))
    assert too_large(training)
    assert "Tried to allocate 2.00 GiB" in training.reason


def test_an_error_that_is_none_of_memory_is_raised(digits: MadeDataset, digits_dataset: Dataset) -> None:
    def broken() -> bool:
        raise RuntimeError("the device fell off the bus")

    with pytest.raises(RuntimeError, match="fell off"):
        trained(spec_of(digits.ref), digits_dataset, 2**40, stop=broken)


def test_memory_that_others_have_is_no_fault_of_the_net(digits: MadeDataset, digits_dataset: Dataset) -> None:
    with pytest.raises(HostMemoryError, match="which other processes use now"):
        trained(spec_of(digits.ref), digits_dataset, 2**40, free=1000)


SMALL_MACHINE = """
import sys
from metaqnn_trainer.contract.messages import *
from metaqnn_trainer.images.dataset import parse_dataset, prepare
from metaqnn_trainer.training.device import choose_device
from metaqnn_trainer.training.memory import DeviceMemory, bounded_memory
from metaqnn_trainer.training.outcome import Subject
from metaqnn_trainer.training.session import train
from metaqnn_trainer.tasks.base import task_of

device = choose_device(1)
dataset = prepare(parse_dataset(sys.stdin.buffer.read(), "digits"), 32, device)
net = "[C(64,1,1), C(64,1,1), C(64,1,1), C(64,1,1), C(64,1,1), C(64,1,1), SM(10)]"
ref = DatasetRef(name="digits", digest="0" * 16)
spec = TrialSpec(net=net, dataset=ref, image_size=32, recipe=Recipe(epochs=1, max_rates=1))
size = 430 << 20
with bounded_memory(device, size):
    options = TrainerOptions(time_limit_seconds=0.1)
    subject = Subject(task_of(spec), dataset, device, (0, 0))
    training = train(subject, print, options, memory=DeviceMemory(size, lambda: 2**40))
print(training.status, training.micro_batch)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only there do allocations fail")
def test_on_a_machine_that_is_too_small_for_a_whole_batch(digits: MadeDataset) -> None:
    found = subprocess.run([sys.executable, "-c", SMALL_MACHINE], input=digits.data, capture_output=True, check=True)
    assert found.stdout.split() == [b"timed_out", b"32"]


def test_a_loss_that_leaves_the_numbers_later_ends_training_and_the_best_stands(
    digits: MadeDataset, digits_dataset: Dataset
) -> None:
    # So much momentum against so much decay swings ever further, slowly: it leaves float32 after fifty epochs.
    exploding: dict[str, Any] = {
        "optimizer": "sgd",
        "learning_rate": 0.3,
        "momentum": 0.99,
        "weight_decay": 1.0,
        "epochs": 80,
    }
    training = run(digits, digits_dataset, "[FC(32), SM(10)]", learning_rate_decay=1.0, dropout="none", **exploding)
    assert training.status == "completed"
    assert training.records[-1].train_loss is None
    assert training.records[-2].train_loss is not None
    assert training.epochs == len(training.records) - 1 < 79
    assert training.reward == max(record.reward for record in training.records[:-1])
    assert training.weights is not None
    assert all(tensor.isfinite().all() for tensor in training.weights.values())
