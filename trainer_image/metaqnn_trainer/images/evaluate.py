"""Accuracy, the loss, and which classes are taken for which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metaqnn_trainer.contract.confusion import MAX_CONFUSION
from metaqnn_trainer.images.dataset import Dataset, Labelled, normalised

EVALUATION_BATCH: Final = 512


class Measured(NamedTuple):
    """The measures of one part of a dataset."""

    accuracy: float
    """Share of images that are classified correctly."""
    balanced_accuracy: float
    """Mean, over the classes that have images, of the share of their images that are classified correctly."""
    loss: float
    """Mean cross-entropy."""


@torch.inference_mode()
def measured(
    model: nn.Module,
    part: Labelled,
    dataset: Dataset,
    pause: Callable[[], None] = lambda: None,
    batch: int = EVALUATION_BATCH,
) -> Measured:
    """The accuracy and loss of `model` on `part`. `pause` is called after every `batch`, and may raise."""
    model.eval()
    found: list[Tensor] = []
    loss = torch.zeros((), device=dataset.mean.device)
    for images, labels in zip(part.images.split(batch), part.labels.split(batch), strict=True):
        logits = model(normalised(images, dataset.mean, dataset.std))
        found.append(logits.argmax(1))
        loss += F.cross_entropy(logits.float(), labels, reduction="sum")
        pause()
    right = _of_classes(part.labels[torch.cat(found) == part.labels], dataset)
    there = _of_classes(part.labels, dataset)
    shares = (right.double() / there)[there > 0]
    return Measured(right.sum().item() / len(part), shares.mean().item(), loss.item() / len(part))


def _of_classes(labels: Tensor, dataset: Dataset) -> Tensor:
    """Number of images of each class (classes)."""
    return torch.bincount(labels, minlength=dataset.info.images().classes)


def confusion(found: Tensor, labels: Tensor, classes: int) -> list[list[int]] | None:
    """How many images of each class (rows) were taken for which class (columns). `found` and `labels` are classes (n).
    None where there are too many classes to show.
    """
    if classes > MAX_CONFUSION:
        return None
    counts: list[list[int]] = torch.bincount(labels * classes + found, minlength=classes**2).view(classes, -1).tolist()
    return counts
