"""The recipe as plain functions: rates, seeds, dropout probabilities. Nothing here touches a tensor."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from itertools import accumulate
from typing import Literal

from metaqnn_trainer.contract.messages import Recipe
from metaqnn_trainer.spaces.cnn.dropout import dropout_places
from metaqnn_trainer.spaces.cnn.layer import Net

Purpose = Literal["weights", "order", "augmentation", "dropout"]


def learning_rate(recipe: Recipe, rate: int, epoch: int) -> float:
    """The learning rate of an epoch, counted from 1, in the `rate`-th try, counted from 1."""
    return _scheduled(recipe, epoch) * recipe.restart_factor ** (rate - 1)


def _scheduled(recipe: Recipe, epoch: int) -> float:
    if not recipe.phases:
        return recipe.learning_rate * recipe.learning_rate_decay ** ((epoch - 1) // recipe.decay_epochs)
    ends = list(accumulate(phase.epochs for phase in recipe.phases))
    return recipe.phases[bisect_left(ends, epoch)].learning_rate


def dropout_probabilities(net: Net, recipe: Recipe) -> dict[int, float]:
    """The dropout probability after the layer at each index of `net` that has one."""
    match recipe.dropout:
        case "every_second":
            return {place.after: place.probability for place in dropout_places(net)}
        case "after_fc":
            return {index: recipe.fc_dropout for index, layer in enumerate(net) if layer.dropout == "each"}
        case "none":
            return {}


def derive_seed(recipe: Recipe, spec_digest: str, rate: int, epoch: int, purpose: Purpose, step: int = 0) -> int:
    """A seed of 63 bits for one purpose at one moment of training.

    It is a function of numbers and not drawn from a stream, so that training can go on at any step with the same random
    numbers. Weights are drawn before the first epoch, in epoch 0.
    """
    text = f"{recipe.seed}:{spec_digest}:{rate}:{epoch}:{step}:{purpose}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
