"""Accuracy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import nn

from metaqnn_trainer.images.dataset import Dataset, Labelled, normalised

EVALUATION_BATCH: Final = 512


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    part: Labelled,
    dataset: Dataset,
    pause: Callable[[], None] = lambda: None,
    batch: int = EVALUATION_BATCH,
) -> float:
    """The share of `part` that `model` classifies rightly. `pause` is called after every `batch`, and may raise."""
    model.eval()
    right = torch.zeros((), dtype=torch.int64, device=dataset.mean.device)
    for images, labels in zip(part.images.split(batch), part.labels.split(batch), strict=True):
        right += (model(normalised(images, dataset.mean, dataset.std)).argmax(1) == labels).sum()
        pause()
    return right.item() / len(part)
