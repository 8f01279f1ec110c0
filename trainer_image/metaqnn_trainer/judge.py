"""Measures trained nets on the test images, each alone and all together: the last step, when everything else is
decided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from metaqnn_trainer.errors import RequestError
from metaqnn_trainer.images.dataset import normalised
from metaqnn_trainer.images.evaluate import EVALUATION_BATCH, confusion
from metaqnn_trainer.load import Trained, load_trial
from metaqnn_trainer.store.base import Store


class Judged(NamedTuple):
    """Accuracies on the test images, which no decision of the search has seen."""

    images: int
    first: float
    """Test accuracy of the first trial alone."""
    together: float
    """Test accuracy of all trials together: the class of the highest mean probability counts."""
    validation_together: float
    """The same accuracy on the validation images."""
    class_names: list[str]
    confusion: list[list[int]] | None
    """Number of test images of each class (rows) that the first trial takes for each class (columns); None where there
    are too many classes.
    """
    together_confusion: list[list[int]] | None
    """The same of all trials together."""


def judge(store: Store, trials: Sequence[tuple[str, str]], device: torch.device, say: Callable[[str], None]) -> Judged:
    """Measure these trials (run, trial) on the test images: all together, and the first of them also alone.

    Raises:
        RequestError: a trial kept no weights, they are of several datasets, or the dataset has no test images.
        DatasetError: a dataset is missing or damaged.
        StoreError: the store does not answer.
    """
    first: Tensor | None = None
    tests: Tensor | None = None
    validations: Tensor | None = None
    dataset = None
    for run, trial in trials:
        say(f"trial {trial} of run {run}")
        trained, _ = load_trial(store, run, trial)
        if dataset is None:
            dataset, labels, info = trained.spec.dataset, trained.dataset.test.labels, trained.dataset.info
            validation_labels = trained.dataset.validation.labels
            if not len(labels):
                raise RequestError(f"dataset {dataset.name} has no test images")
        elif trained.spec.dataset != dataset:
            raise RequestError(f"trial {trial} was trained on another dataset than the first")
        found = _probabilities(trained, trained.dataset.test.images, device)
        held = _probabilities(trained, trained.dataset.validation.images, device)
        first = found if first is None else first
        tests = found if tests is None else tests + found
        validations = held if validations is None else validations + held
    if first is None or tests is None or validations is None:
        raise RequestError("no trial was named")
    alone, together = (confusion(scores.argmax(1), labels, info.images().classes) for scores in (first, tests))
    return Judged(
        len(labels),
        _accuracy(first, labels),
        _accuracy(tests, labels),
        _accuracy(validations, validation_labels),
        info.class_names,
        alone,
        together,
    )


@torch.inference_mode()
def _probabilities(trained: Trained, images: Tensor, device: torch.device) -> Tensor:
    """The net's probabilities (n, classes), in main memory."""
    model, data = trained.model.to(device), trained.dataset
    mean, std = data.mean.to(device), data.std.to(device)
    parts = [
        model(normalised(batch.to(device), mean, std)).softmax(1).cpu() for batch in images.split(EVALUATION_BATCH)
    ]
    return torch.cat(parts)


def _accuracy(scores: Tensor, labels: Tensor) -> float:
    return int((scores.argmax(1) == labels).sum()) / len(labels)
