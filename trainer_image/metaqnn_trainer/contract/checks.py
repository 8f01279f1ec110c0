"""A result held against what was asked: what the message alone cannot tell."""

from __future__ import annotations

import math
from typing import Final

from metaqnn_trainer.contract.bounds import MAX_LINE
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import Recipe, TrainingResult, TrialSpec

_WEIGHTS_EXTRA: Final = 1 << 20  # bytes of a file of weights that are no numbers


def check_result(result: TrainingResult, spec: TrialSpec, cost: tuple[int, int], classes: int) -> None:
    """Whether training `spec`, a net of this many parameters and multiply-accumulates, on images of so many `classes`
    can have come to `result`.

    Raises:
        MessageError: it cannot; the text says what is wrong, in one line.
    """
    recipe = spec.recipe
    rates, resumed, weights, history = result.learning_rates, result.resumed_from, result.weights, result.history
    own = (result.trial, result.spec_digest) == (spec.trial_id(), spec.digest())
    size = f"{result.params} parameters and {result.macs} multiply-accumulates"
    at_once = result.micro_batch or recipe.batch_size
    rules = {
        "it is of another trial": own,
        f"it has {size}, the net {cost[0]} and {cost[1]}": (result.params, result.macs) == cost,
        f"no epoch counts, but its accuracy is {result.val_accuracy}": result.best_epoch > 0
        or math.isclose(result.val_accuracy, 1 / classes),
        f"it has {result.epochs} epochs of {recipe.epochs}": result.epochs <= recipe.epochs,
        f"it tried {len(rates)} learning rates of {recipe.max_rates}": len(rates) <= recipe.max_rates,
        "its learning rates are not the recipe's": all(map(_close, rates, first_rates(recipe))),
        f"it gave up after {len(rates)} learning rates and {result.epochs} epochs of the last one": (
            result.status != "untrainable" or (len(rates), result.epochs) == (recipe.max_rates, 1)
        ),
        f"it went on from {resumed}, which the recipe does not have": resumed is None
        or (resumed.rate <= recipe.max_rates and resumed.epoch <= recipe.epochs + 1),
        f"{at_once} images went through the net at once, of a batch of {recipe.batch_size}": (
            at_once <= recipe.batch_size
        ),
        "test images were seen, which nobody asked for": result.test_accuracy is None or recipe.evaluate_test,
        # Many are read at once: none may take more memory than it has lines.
        "its history is longer than its training": history is None
        or history.size <= MAX_LINE * recipe.epochs * recipe.max_rates,
        # Statistics are no more numbers than parameters are.
        "its weights are larger than the net": weights is None or weights.size <= 8 * cost[0] + _WEIGHTS_EXTRA,
    }
    for complaint, holds in rules.items():
        if not holds:
            raise MessageError(f"result.json cannot be of trial {spec.trial_id()}: {complaint}")


def first_rates(recipe: Recipe) -> list[float]:
    """The first learning rates, of one try after another."""
    first = recipe.phases[0].learning_rate if recipe.phases else recipe.learning_rate
    return [first * recipe.restart_factor**number for number in range(recipe.max_rates)]


def _close(found: float, wanted: float) -> bool:
    return math.isclose(found, wanted, rel_tol=1e-6, abs_tol=1e-300)
