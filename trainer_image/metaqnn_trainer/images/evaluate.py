"""Accuracy, and the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from metaqnn_trainer.images.dataset import Dataset, Labelled, normalised

EVALUATION_BATCH: Final = 512


class Measured(NamedTuple):
    """The measures of one part of a dataset."""

    accuracy: float
    """Share of images that are classified correctly."""
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
    right = torch.zeros((), dtype=torch.int64, device=dataset.mean.device)
    loss = torch.zeros((), device=dataset.mean.device)
    for images, labels in zip(part.images.split(batch), part.labels.split(batch), strict=True):
        logits = model(normalised(images, dataset.mean, dataset.std))
        right += (logits.argmax(1) == labels).sum()
        loss += F.cross_entropy(logits.float(), labels, reduction="sum")
        pause()
    return Measured(right.item() / len(part), loss.item() / len(part))
