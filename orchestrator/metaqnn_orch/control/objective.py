"""Turns a result into the reward that the searcher is told: the task's reward, or the value of the settings' objective.

The objective is `value * PRODUCT((measure / reference) ** -weight)`, MnasNet's soft form (Tan et al. 2019, section 3),
over all soft limits. A negative value is divided by the product instead, so that a smaller measure is always better;
where the weight is negative, a larger one.
The value is a measure of the result, or the task's reward; its unit is the task's, and higher is better.

For a net that has learned nothing, the value is chance. Such a net earns no bonus for being small, and pays for the
costs that are known. So its reward is never higher than that of a net with the same costs that learned something.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, isfinite, log
from typing import Final, NamedTuple

from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.objective import ObjectiveSettings, SoftLimit
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import CLASSIFICATION
from metaqnn_trainer.contract.result import TrainingResult

SECONDS: Final = "seconds"  # measures of training, beside those of the space and of the result
MOST: Final = 1e12  # of a reward, and of a factor: the largest size that the contract allows

_MOST_LOG: Final = log(MOST)


class MeasureMissing(MessageError):
    """A result has not the measure that the objective needs."""


class Evidence(NamedTuple):
    """The facts about a trained design that an objective uses."""

    reward: float
    """The task's reward; chance for a net that has learned nothing."""
    measures: Mapping[str, float]
    """The result's measures."""
    known: Mapping[str, float]
    """The space's measures of the design, and the seconds of training. They take precedence over `measures` of the same
    name.
    """
    learned: bool = True
    """Whether the net learned anything; False where no epoch counts."""


class Objective:
    """Computes the reward that a run's searcher is told of a result."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.objective
        self._space = settings.state_space()

    def reward(self, design: str, result: TrainingResult) -> float:
        """The reward of a design with this result.

        Raises:
            MessageError: a measure that the objective needs is missing, or is not a number that it can use.
        """
        if not self._settings.changes_reward:
            return result.reward
        learned = result.best_epoch > 0
        known = {**self._space.measures(design), SECONDS: result.seconds}
        return told(self._settings, Evidence(result.reward, measures_of(result), known, learned))


def told(settings: ObjectiveSettings, outcome: Evidence) -> float:
    """The reward that the searcher is told, from -MOST to MOST.

    Raises:
        MessageError: a measure is missing, not finite, or not positive where a power of it is asked for.
    """
    value, logarithm = _value(settings, outcome), 0.0
    for name, limit in settings.soft_limits.items():
        if outcome.learned or name in outcome.known:
            logarithm -= _excess(name, limit, _measure(name, outcome), bonus=outcome.learned)
    factor = exp(min(max(logarithm, -_MOST_LOG), _MOST_LOG))
    return min(max(value * factor if value >= 0 else value / factor, -MOST), MOST)


def measures_of(result: TrainingResult) -> dict[str, float]:
    """The measures of a result. In image classification, `accuracy` is always among them; for a net that has learned
    nothing it is chance.
    """
    accuracy = {} if result.val_accuracy is None else {"accuracy": result.val_accuracy}
    return {**result.measures, **accuracy}


def tells_accuracy(task: str, settings: ObjectiveSettings) -> bool:
    """Whether the reward is the validation accuracy."""
    return task == CLASSIFICATION.name and not settings.changes_reward


def in_words(settings: ObjectiveSettings) -> str:
    """The objective in one line: `reward x (params / 1e+06)^-0.07`."""
    factors = [
        f" x {_bound(limit)}{name} / {limit.reference:g})^{-limit.weight:g}"
        for name, limit in settings.soft_limits.items()
    ]
    return (settings.measure or "reward") + "".join(factors)


def _bound(limit: SoftLimit) -> str:
    if not limit.only_above:
        return "("
    return "max(1, " if limit.weight > 0 else "min(1, "


def _value(settings: ObjectiveSettings, outcome: Evidence) -> float:
    if settings.measure is None:
        return outcome.reward
    if not outcome.learned:
        return outcome.reward if settings.chance is None else settings.chance
    return _measure(settings.measure, outcome)


def _measure(name: str, outcome: Evidence) -> float:
    found = outcome.known.get(name, outcome.measures.get(name))
    if found is None:
        there = ", ".join(dict.fromkeys([*outcome.known, *outcome.measures]))
        raise MeasureMissing(f"the objective needs the measure {name}, which is missing: there are {there}")
    if not isfinite(found):
        raise MessageError(f"the objective needs the measure {name}, but it is {found}")
    return float(found)


def _excess(name: str, limit: SoftLimit, measure: float, *, bonus: bool) -> float:
    """The weight times the logarithm of measure / reference."""
    gains = measure <= limit.reference if limit.weight > 0 else measure >= limit.reference
    if gains and (limit.only_above or not bonus):
        return 0.0
    if measure <= 0:
        raise MessageError(f"the objective needs a positive measure {name}, but it is {measure:g}")
    return limit.weight * (log(measure) - log(limit.reference))
