"""Checks a result against its request, beyond what the message alone can show."""

from __future__ import annotations

import math
from typing import Final

from metaqnn_trainer.contract.bounds import MAX_LINE
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import CLASSIFICATION, Recipe, TrialSpec
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.contract.text import amount

WEIGHTS_EXTRA: Final = 1 << 20  # bytes of a weights file beside the numbers


def check_result(result: TrainingResult, spec: TrialSpec, cost: tuple[int, int], classes: int | None = None) -> None:
    """Check that training `spec` can have led to `result`. `cost` are the design's parameters and multiply-accumulates;
    `classes` are the dataset's, which give chance in image classification. Other tasks give chance in their results.

    Raises:
        MessageError: it cannot; the text says what is wrong, in one line.
    """
    recipe, (params, macs) = spec.recipe, cost
    classifies = spec.task.name == CLASSIFICATION.name
    chance = 1 / classes if classifies and classes else result.chance
    rates, resumed, weights, history = result.learning_rates, result.resumed_from, result.weights, result.history
    own = (result.trial, result.spec_digest) == (spec.trial_id(), spec.digest())
    size = f"{result.params} parameters and {result.macs} multiply-accumulates"
    at_once = result.micro_batch or recipe.batch_size
    tried = amount(len(rates), "learning rate")
    rules = {
        "it is of another trial": own,
        f"it says {size}, but the net has {params} and {macs}": (result.params, result.macs) == (params, macs),
        f"no epoch counts, but its reward is {result.reward}": result.best_epoch > 0
        or (chance is not None and math.isclose(result.reward, chance)),
        "it has no accuracy, although the task is classification": result.val_accuracy is not None or not classifies,
        f"it has the accuracy {result.val_accuracy}, but the task {spec.task.name} does not measure that": classifies
        or result.val_accuracy is None
        or "accuracy" in result.measures
        or (result.best_epoch == 0 and result.val_accuracy == result.reward),
        f"its reward is {result.reward}, but its accuracy is {result.val_accuracy}": not classifies
        or result.val_accuracy == result.best_reward,
        f"it has {result.epochs} epochs, but the recipe has {recipe.epochs}": result.epochs <= recipe.epochs,
        f"it tried {len(rates)} learning rates, but the recipe allows {recipe.max_rates}": len(rates)
        <= recipe.max_rates,
        "its learning rates are not the recipe's": all(map(_close, rates, first_rates(recipe))),
        f"it gave up after {tried} and {amount(result.epochs, 'epoch')} of the last one": (
            result.status != "untrainable" or (len(rates), result.epochs) == (recipe.max_rates, 1)
        ),
        f"it went on from {resumed}, which the recipe does not have": resumed is None
        or (resumed.rate <= recipe.max_rates and resumed.epoch <= recipe.epochs + 1),
        f"{at_once} examples went through the net at once, of a batch of {recipe.batch_size}": (
            at_once <= recipe.batch_size
        ),
        "the test images were used, which was not asked for": recipe.evaluate_test
        or not (result.test_measures or result.test_accuracy is not None),
        # Many results are read at once: none may take more memory than the lines of its history need.
        "its history is longer than its training": history is None
        or history.size <= MAX_LINE * recipe.epochs * recipe.max_rates,
        # Batch statistics are at most as many numbers as parameters.
        "its weights are larger than the net": weights is None
        or not classifies
        or weights.size <= 8 * params + WEIGHTS_EXTRA,
    }
    for complaint, holds in rules.items():
        if not holds:
            raise MessageError(f"result.json cannot be of trial {spec.trial_id()}: {complaint}")


def check_recipe(recipe: Recipe, channels: int, classes: int) -> None:
    """Check that images of so many channels, in so many classes, can be trained on by `recipe`.

    Raises:
        MessageError: they cannot; the text names the setting.
    """
    weights = recipe.class_weights
    if not isinstance(weights, str) and len(weights) != classes:
        raise MessageError(f"class_weights has {len(weights)} weights, but there are {classes} classes")
    if recipe.saturation and channels != 3:
        raise MessageError(f"saturation needs images with three channels, and these have {channels}")


def first_rates(recipe: Recipe) -> list[float]:
    """The first learning rate of each try, in order."""
    first = recipe.phases[0].learning_rate if recipe.phases else recipe.learning_rate
    return [first * recipe.restart_factor**number for number in range(recipe.max_rates)]


def _close(found: float, wanted: float) -> bool:
    return math.isclose(found, wanted, rel_tol=1e-6, abs_tol=1e-300)
