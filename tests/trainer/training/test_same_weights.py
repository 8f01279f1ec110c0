"""What was trained before there were other tasks is trained to the same bits.

The digests were taken from that release (for augmented images from a later one, which draws for several batches at
once), on one kind of processor: another one rounds otherwise, and is not compared.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from metaqnn_trainer.contract.messages import ModelOptions, Recipe
from metaqnn_trainer.images.dataset import Dataset, prepare
from metaqnn_trainer.sources.make import MadeDataset
from metaqnn_trainer.training.memory import DeviceMemory
from metaqnn_trainer.training.outcome import Training
from tests.trainer.conftest import spec_of, train

RECORDED = json.loads(Path(__file__).with_name("trained-weights.json").read_text())
DEEP = "[C(16,3,1), P(2,2), C(16,3,1), FC(32), SM(10)]"
CASES: dict[str, dict[str, Any]] = {
    "plain": {"dropout": "none"},
    "dropout": {},
    "augmented": {"mirror": True, "translate": 2},
    "sgd": {"optimizer": "sgd", "learning_rate": 0.05, "dropout": "after_fc", "normalisation": "pixel", "size": 12},
    "batch norm": {"model": ModelOptions(batch_norm=True, activation="elu")},
    "head": {"net": "[C(16,2,2), C(16,3,1), GAP(10), SM(10)]", "model": ModelOptions(gap_head="code")},
    "restart": {"learning_rate": 10.0, "restart_factor": 0.001},
    "parts": {"memory": 1, "model": ModelOptions(batch_norm=True)},
}


def machine() -> list[str]:
    return [str(torch.__version__).partition("+")[0], torch.backends.cpu.get_cpu_capability()]


def digest(training: Training) -> str:
    assert training.weights is not None
    told = [(record.rate, record.epoch, record.train_loss, record.reward) for record in training.records]
    text = hashlib.sha256(
        repr((told, training.test_measures.get("accuracy"), training.images, training.micro_batch)).encode()
    )
    for name, tensor in sorted(training.weights.items()):
        text.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return text.hexdigest()


def trained(digits: MadeDataset, dataset: Dataset, **changes: Any) -> Training:
    values: dict[str, Any] = {"epochs": 2, "batch_size": 64, "evaluate_test": True} | changes
    net, model, size = values.pop("net", DEEP), values.pop("model", ModelOptions()), values.pop("size", 8)
    memory = DeviceMemory(700_000, lambda: 2**60) if values.pop("memory", None) else None
    spec = spec_of(digits.ref, net, Recipe(**values), model=model, image_size=size)
    dataset = prepare(dataset, size, torch.device("cpu"), spec.recipe.normalisation)
    return train(spec, dataset, lambda record: None, memory=memory)


@pytest.mark.skipif(machine() != RECORDED["machine"], reason="recorded on another kind of processor")
@pytest.mark.parametrize("case", CASES)
def test_the_weights_are_those_of_before(digits: MadeDataset, digits_dataset: Dataset, case: str) -> None:
    assert digest(trained(digits, digits_dataset, **CASES[case])) == RECORDED[case]
