"""Stops nets after a part of their epochs, and predicts what they would have reached, from nets that were trained to
their end.

One rule stops a net that will probably not beat the best one (Baker, Gupta, Raskar, Naik 2017, "Accelerating Neural
Architecture Search using Performance Prediction"): it predicts by ridge regression of the final accuracy on the epochs
so far and on the net's size. The other compares all nets at one epoch, as successive halving does (Jamieson, Talwalkar
2016), and predicts by a line through what nets had there and at their end. Pure: the same rule and the same epochs give
the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean
from typing import Final, NamedTuple

import torch

from metaqnn_trainer.contract.bounds import MAX_SPREAD
from metaqnn_trainer.contract.messages import EarlyEnd, LearningCurve, QuarterExample, QuarterRule, quarter
from metaqnn_trainer.contract.result import Prediction

RIDGE: Final = 1.0  # ridge penalty on standardised features: its weight is that of one example
_CONSTANT: Final = 1e-9  # standard deviation below which a feature counts as constant
_LEAST_SPREAD: Final = 1e-6  # smallest standard deviation: no prediction is certain


class Forecast(NamedTuple):
    """The best validation accuracy of a net as a normal distribution. Its mean may lie outside of [0, 1]."""

    accuracy: float
    spread: float

    def falls_short(self, best: float) -> float:
        """The probability of an accuracy of at most `best`."""
        return NormalDist(self.accuracy, self.spread).cdf(best)


def ridge(examples: Sequence[LearningCurve], begun: LearningCurve) -> Forecast:
    """The best accuracy that the net of `begun`, of which some epochs are known, will have reached after the number of
    epochs of the `examples`.

    Its standard deviation comes from the residual that each example would have if it were left out, and grows the less
    similar the net is to the examples.
    """
    epochs = len(begun.accuracies)
    features = torch.tensor([_features(example, epochs) for example in examples], dtype=torch.float64)
    final = torch.tensor([max(example.accuracies) for example in examples], dtype=torch.float64)
    mean, deviation = features.mean(0), features.std(0, correction=0)
    deviation[deviation < _CONSTANT] = 1.0
    x = (features - mean) / deviation
    asked = (torch.tensor(_features(begun, epochs), dtype=torch.float64) - mean) / deviation
    inverse = torch.linalg.inv(x.T @ x + RIDGE * torch.eye(x.shape[1], dtype=x.dtype))
    weights = inverse @ x.T @ (final - final.mean())
    # The diagonal of the hat matrix: residual / (1 - leverage) is the residual of an example that is left out.
    leverage = 1 / len(x) + (x @ inverse * x).sum(1)
    residuals = final - final.mean() - x @ weights
    variance = (residuals**2 / (1 - leverage)).mean() * (1 + 1 / len(x) + asked @ inverse @ asked)
    return Forecast(float(final.mean() + asked @ weights), max(math.sqrt(variance), _LEAST_SPREAD))


def line(examples: Sequence[QuarterExample], reached: float) -> Forecast:
    """The best reward of a net that has `reached` so much after a quarter of its epochs, by least squares.

    The line never falls: of two nets, the one that has reached more is not foretold less. The standard deviation grows
    with the distance from the examples.
    """
    x, y = [example.quarter for example in examples], [example.final for example in examples]
    centre, height = fmean(x), fmean(y)
    width = sum((value - centre) ** 2 for value in x)
    joint = sum((value - centre) * (final - height) for value, final in zip(x, y, strict=True))
    varies = width > len(x) * _CONSTANT**2
    slope = max(joint / width, 0.0) if varies else 0.0
    residuals = [final - height - slope * (value - centre) for value, final in zip(x, y, strict=True)]
    variance = sum(residual**2 for residual in residuals) / max(len(x) - 2, 1)
    variance *= 1 + 1 / len(x) + ((reached - centre) ** 2 / width if varies else 0.0)
    return Forecast(height + slope * (reached - centre), max(math.sqrt(variance), _LEAST_SPREAD))


def forecast(rule: EarlyEnd, begun: LearningCurve) -> Forecast:
    """What the net of `begun` will have reached at its end."""
    if isinstance(rule, QuarterRule):
        return line(rule.examples, max(begun.accuracies))
    return ridge(rule.examples, begun)


def is_asked(rule: EarlyEnd, done: int, epochs: int) -> bool:
    """Whether the rule is applied to a net that has `done` so many of its epochs: after a quarter of them, or from then
    on, but not after the last, and only if the rule's examples had as many epochs.
    """
    if isinstance(rule, QuarterRule):
        return done == quarter(epochs) < epochs == rule.epochs
    alike = all(len(example.accuracies) == epochs for example in rule.examples)
    return alike and max(2, quarter(epochs)) <= done < epochs


def stopped(
    rule: EarlyEnd, begun: LearningCurve, epochs: int, bounds: tuple[float, float] = (0.0, 1.0)
) -> Prediction | None:
    """The prediction for the net of `begun`, which is to have so many `epochs`, if the rule stops it now; rewards lie
    within `bounds`.

    None where the net goes on: the rule finds no reason to stop it or is not applied now, or it is the best net so far.
    """
    reached = max(begun.accuracies)
    if reached >= rule.best or not is_asked(rule, len(begun.accuracies), epochs):
        return None
    found = forecast(rule, begun)
    if isinstance(rule, QuarterRule):
        stops = reached < rule.threshold
    else:
        stops = found.falls_short(rule.best) >= rule.confidence
    if not stops:
        return None
    expected = min(max(found.accuracy, bounds[0]), bounds[1])
    return Prediction(accuracy=expected, spread=min(found.spread, MAX_SPREAD), best=rule.best)


def _features(curve: LearningCurve, epochs: int) -> list[float]:
    return [*curve.accuracies[:epochs], math.log1p(curve.params), math.log1p(curve.macs), curve.layers]
