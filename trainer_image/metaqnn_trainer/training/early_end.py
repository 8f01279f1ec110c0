"""Predicts what a net will reach, from its first epochs and from nets that were trained to their end (Baker, Gupta,
Raskar, Naik 2017, "Accelerating Neural Architecture Search using Performance Prediction").

The method is ridge regression of the final accuracy on the epochs so far and on the net's size. Pure: the same examples
and the same epochs give the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final, NamedTuple

import torch
from torch import Tensor

from metaqnn_trainer.contract.bounds import MAX_SPREAD
from metaqnn_trainer.contract.messages import EarlyEnd, LearningCurve
from metaqnn_trainer.contract.result import Prediction

RIDGE: Final = 1.0  # ridge penalty on standardised features: its weight is that of one example
_EARLIEST: Final = 0.25  # share of the epochs before which too little is known
_CONSTANT: Final = 1e-9  # standard deviation below which a feature counts as constant
_LEAST_SPREAD: Final = 1e-6  # smallest standard deviation: no prediction is certain


class Forecast(NamedTuple):
    """The best validation accuracy of a net as a normal distribution. Its mean may lie outside of [0, 1]."""

    accuracy: float
    spread: float

    def falls_short(self, best: float) -> float:
        """The probability of an accuracy of at most `best`."""
        return NormalDist(self.accuracy, self.spread).cdf(best)


def forecast(examples: Sequence[LearningCurve], begun: LearningCurve) -> Forecast:
    """The best accuracy that the net of `begun`, of which some epochs are known, will have reached after the number of
    epochs of the `examples`.

    Its standard deviation comes from the residual that each example would have if it were left out, and grows the less
    similar the net is to the examples.
    """
    epochs = len(begun.accuracies)
    features = torch.stack([_features(example, epochs) for example in examples])
    final = torch.tensor([max(example.accuracies) for example in examples], dtype=torch.float64)
    mean, deviation = features.mean(0), features.std(0, correction=0)
    deviation[deviation < _CONSTANT] = 1.0
    x, asked = (features - mean) / deviation, (_features(begun, epochs) - mean) / deviation
    inverse = torch.linalg.inv(x.T @ x + RIDGE * torch.eye(x.shape[1], dtype=x.dtype))
    weights = inverse @ x.T @ (final - final.mean())
    # The diagonal of the hat matrix: residual / (1 - leverage) is the residual of an example that is left out.
    leverage = 1 / len(x) + (x @ inverse * x).sum(1)
    residuals = final - final.mean() - x @ weights
    variance = (residuals**2 / (1 - leverage)).mean() * (1 + 1 / len(x) + asked @ inverse @ asked)
    return Forecast(float(final.mean() + asked @ weights), max(math.sqrt(variance), _LEAST_SPREAD))


def is_asked(done: int, epochs: int) -> bool:
    """Whether the rule is applied after so many epochs: not before a quarter of them, nor after the last."""
    return max(2, math.ceil(_EARLIEST * epochs)) <= done < epochs


def foretold_to_fail(
    rule: EarlyEnd, begun: LearningCurve, epochs: int, bounds: tuple[float, float] = (0.0, 1.0)
) -> Prediction | None:
    """The prediction for the net of `begun` after so many `epochs`, if it is a reason to stop the net now; rewards lie
    within `bounds`.

    None where it is no reason, where the rule is not applied, and where the rule's examples had another number of
    epochs.
    """
    if not is_asked(len(begun.accuracies), epochs) or max(begun.accuracies) >= rule.best:
        return None
    if any(len(example.accuracies) != epochs for example in rule.examples):
        return None
    found = forecast(rule.examples, begun)
    if found.falls_short(rule.best) < rule.confidence:
        return None
    expected = min(max(found.accuracy, bounds[0]), bounds[1])
    return Prediction(accuracy=expected, spread=min(found.spread, MAX_SPREAD), best=rule.best)


def _features(curve: LearningCurve, epochs: int) -> Tensor:
    size = [math.log1p(curve.params), math.log1p(curve.macs), curve.layers]
    return torch.tensor([*curve.accuracies[:epochs], *size], dtype=torch.float64)
