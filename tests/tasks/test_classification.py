"""Classification: what counts as chance, and what a first epoch has to reach."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import pytest
import torch

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.messages import DatasetRef, Recipe, TrialSpec
from metaqnn_trainer.errors import RequestError
from metaqnn_trainer.images.dataset import Dataset, Labelled, parse_dataset
from metaqnn_trainer.images.evaluate import measured
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
    data = Dataset(
        info, none, Labelled(torch.empty(0), labels), none, torch.zeros(1), torch.ones(1), torch.ones(classes)
    )
    ref = DatasetRef(name="x", digest="0" * 16)
    task = task_of(TrialSpec(net="[SM(10)]", dataset=ref, image_size=1))
    assert task.learned({"accuracy": accuracy}, data) is expected


def weighted(weights: Any, counts: tuple[int, ...]) -> tuple[Any, Dataset]:
    """The task with these weights, and a dataset with so many training images of each class."""
    classes, total = len(counts), sum(counts)
    labels = torch.arange(classes).repeat_interleave(torch.tensor(counts))
    info = DatasetInfo(
        name="x", channels=1, image_size=1, classes=classes, train=total, validation=total, test=0, source=""
    )
    part = Labelled(torch.zeros(total, 1, 1, 1, dtype=torch.uint8), labels)
    counted = torch.tensor(counts, dtype=torch.float32)
    data = Dataset(info, part, part, part, torch.zeros(1, 1, 1), torch.ones(1, 1, 1), counted)
    ref = DatasetRef(name="x", digest="0" * 16)
    recipe = Recipe(class_weights=weights)
    return task_of(TrialSpec(net=f"[SM({classes})]", dataset=ref, image_size=1, recipe=recipe)), data


def test_balanced_weights_give_each_class_the_same_share_of_the_loss() -> None:
    task, data = weighted("balanced", (6, 2, 1))
    images, labels, weights = task.batch(data, torch.arange(9), torch.Generator())
    assert [weights[labels == label].sum().item() for label in range(3)] == pytest.approx([3.0] * 3)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1, 3))
    expected = torch.nn.functional.cross_entropy(
        model(images), labels, weight=torch.tensor([0.5, 1.5, 3.0]), reduction="sum"
    )
    torch.testing.assert_close(task.loss(model, images, labels, weights), expected)


def test_weights_that_are_listed_are_taken_as_they_are() -> None:
    task, data = weighted((1.0, 2.0, 0.5), (2, 2, 2))
    _, labels, weights = task.batch(data, torch.tensor([5, 0, 3]), torch.Generator())
    assert (labels.tolist(), weights.tolist()) == ([2, 0, 1], [0.5, 1.0, 2.0])


def test_without_weights_the_batch_is_what_it_was() -> None:
    task, data = weighted("none", (2, 2, 2))
    assert len(task.batch(data, torch.arange(2), torch.Generator())) == 2


def test_a_weighted_net_has_learned_if_it_beats_one_class_for_all() -> None:
    measures = {"accuracy": 0.6, "balanced_accuracy": 0.55}  # of a dataset that is to 80 % of one class
    task, data = weighted("balanced", (80, 10, 10))
    assert task.learned(measures, data)
    assert not task.learned(measures | {"balanced_accuracy": 1 / 3}, data)
    task, data = weighted("none", (80, 10, 10))
    assert not task.learned(measures, data)


@pytest.mark.parametrize(
    ("recipe", "complaint"),
    [
        ({"class_weights": (1.0, 2.0)}, "class_weights has 2 weights, but there are 10 classes"),
        ({"saturation": 0.2}, "saturation needs images with three channels, and these have 1"),
    ],
)
def test_a_recipe_that_does_not_fit_the_images_is_refused_before_training(
    recipe: dict[str, Any], complaint: str
) -> None:
    data = parse_dataset(digits().data, "digits")
    spec = TrialSpec(net="[SM(10)]", dataset=digits().ref, image_size=8, recipe=Recipe(**recipe))
    with pytest.raises(RequestError, match=complaint):
        task_of(spec).cost(data)


def test_balanced_accuracy_is_the_mean_over_the_classes_that_have_images() -> None:
    _, data = weighted("none", (6, 2, 2))
    linear = torch.nn.Linear(1, 3)
    always_first = torch.nn.Sequential(torch.nn.Flatten(), linear)
    with torch.no_grad():
        linear.bias.copy_(torch.tensor([1.0, 0.0, 0.0]))
    assert measured(always_first, data.train, data)[:2] == pytest.approx((0.6, 1 / 3))
    some = Labelled(data.train.images[:8], data.train.labels[:8])  # of the first two classes
    assert measured(always_first, some, data)[:2] == pytest.approx((0.75, 0.5))
