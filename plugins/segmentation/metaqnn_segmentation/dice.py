"""Overlap of what is named and what is true (Dice 1945), and a softened one as a loss (Milletari et al. 2016)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """(n, *edges) of whole numbers to (n, classes, *edges) of 0 and 1, float32."""
    return F.one_hot(labels.long(), classes).movedim(-1, 1).float()


def dice_loss(logits: Tensor, labels: Tensor, smooth: float) -> Tensor:
    """1 minus the softened Dice coefficient, (n): the mean over all classes, the background among them. `smooth` is
    added above and below, so that a class that an example does not have costs little where the net does not name it.
    """
    found = logits.softmax(1).flatten(2)
    true = one_hot(labels, logits.shape[1]).flatten(2)
    shared = (found * true).sum(2)
    return 1 - ((2 * shared + smooth) / (found.sum(2) + true.sum(2) + smooth)).mean(1)


def dice(named: Tensor, labels: Tensor, classes: int) -> float:
    """The Dice coefficient of labels (cases, *edges): for each case the mean over the classes that it has, without the
    background; of these the mean over the cases that have any. 0 where none has.
    """
    of_cases = []
    for found, true in zip(named.flatten(1), labels.flatten(1), strict=True):
        pairs = torch.bincount(true.long() * classes + found.long(), minlength=classes**2).reshape(classes, classes)
        sizes, shared = pairs.sum(1) + pairs.sum(0), pairs.diagonal()
        present = pairs.sum(1)[1:] > 0
        if present.any():
            of_cases.append((2 * shared[1:][present].double() / sizes[1:][present]).mean().item())
    return sum(of_cases) / len(of_cases) if of_cases else 0.0
