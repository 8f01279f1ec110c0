"""Classification: what counts as chance, and what a first epoch has to reach."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import pytest
import torch

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.messages import DatasetRef, Recipe, TrialSpec
from metaqnn_trainer.images.dataset import Dataset, Labelled
from metaqnn_trainer.sources.make import MadeDataset, make_dataset
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.tasks.base import task_of
from tests.tasks.behaviour import Behaviour


class TestBehaviour(Behaviour):
    classes = 10
    hopeless: ClassVar[dict[str, Any]] = {"optimizer": "sgd", "learning_rate": 10.0, "restart_factor": 0.9}

    def put_dataset(self, store: DirectoryStore) -> DatasetRef:
        made = digits()
        store.put(keys.dataset(made.ref.name, made.ref.digest), made.data)
        return made.ref

    def spec(self, dataset: DatasetRef, **recipe: Any) -> TrialSpec:
        values = Recipe(**({"epochs": 2, "batch_size": 512, "learning_rate": 0.01, "mirror": True} | recipe))
        return TrialSpec(net="[C(8,3,1), P(2,2), FC(32), SM(10)]", dataset=dataset, image_size=8, recipe=values)


@cache
def digits() -> MadeDataset:
    return make_dataset("digits")


@pytest.mark.parametrize(
    ("accuracy", "classes", "most_frequent", "expected"),
    [
        (0.15, 10, 0.1, False),  # the authors' bound, which is not enough itself
        (0.1502, 10, 0.1, True),
        (0.015, 100, 0.01, False),
        (0.016, 100, 0.01, True),
        (0.19, 10, 0.19, False),  # SVHN: one digit in five is a 1
        (0.1901, 10, 0.19, True),
    ],
)
def test_what_counts_as_learned(accuracy: float, classes: int, most_frequent: float, expected: bool) -> None:
    labels = torch.arange(10_000) % (classes - 1) + 1
    labels[: round(most_frequent * 10_000)] = 0
    info = DatasetInfo(
        name="x", channels=1, image_size=1, classes=classes, train=1, validation=10_000, test=0, source=""
    )
    none = Labelled(torch.empty(0), torch.empty(0))
    data = Dataset(info, none, Labelled(torch.empty(0), labels), none, torch.zeros(1), torch.ones(1))
    ref = DatasetRef(name="x", digest="0" * 16)
    task = task_of(TrialSpec(net="[SM(10)]", dataset=ref, image_size=1))
    assert task.learned({"accuracy": accuracy}, data) is expected
