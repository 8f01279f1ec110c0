"""Learning curves continued: a regression that knows what it does not know, and a rule that follows from it."""

from __future__ import annotations

import math
from random import Random

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from metaqnn_trainer.contract.messages import LearningCurve, PredictionRule, QuarterExample, QuarterRule, quarter
from metaqnn_trainer.training.early_end import RIDGE, line, ridge, stopped

EPOCHS = 8
accuracies = st.floats(0, 1)


def curves(epochs: int = EPOCHS) -> st.SearchStrategy[LearningCurve]:
    return st.builds(
        LearningCurve,
        params=st.integers(0, 10**9),
        macs=st.integers(0, 10**12),
        layers=st.integers(1, 30),
        accuracies=st.lists(accuracies, min_size=epochs, max_size=epochs).map(tuple),
    )


def begun(curve: LearningCurve, epochs: int) -> LearningCurve:
    return curve.model_copy(update={"accuracies": curve.accuracies[:epochs]})


def saturating(seed: int, epochs: int = EPOCHS) -> LearningCurve:
    """A curve as training makes them: fast or slow, to a height of its own, and noisy."""
    rng = Random(seed)
    height, pace = rng.uniform(0.6, 0.98), rng.uniform(0.3, 1.5)
    values = (height * (1 - math.exp(-pace * epoch)) + rng.gauss(0, 0.005) for epoch in range(1, epochs + 1))
    return LearningCurve(
        params=rng.randrange(1_000, 100_000),
        macs=rng.randrange(10_000, 1_000_000),
        layers=rng.randrange(2, 8),
        accuracies=tuple(min(max(value, 0.0), 1.0) for value in values),
    )


EXAMPLES = tuple(saturating(seed) for seed in range(60))


@given(st.lists(curves(), min_size=2, max_size=30), curves(), st.integers(1, EPOCHS), st.randoms())
def test_a_forecast_is_a_number_whatever_the_examples_and_in_whatever_order(
    examples: list[LearningCurve], curve: LearningCurve, epochs: int, rng: Random
) -> None:
    found = ridge(examples, begun(curve, epochs))
    assert math.isfinite(found.accuracy)
    assert 0 < found.spread < math.inf
    assert found == ridge(examples, begun(curve, epochs))
    rng.shuffle(examples)
    again = ridge(examples, begun(curve, epochs))
    assert again.accuracy == pytest.approx(found.accuracy, abs=1e-6)
    assert again.spread == pytest.approx(found.spread, rel=1e-3, abs=1e-6)


@settings(max_examples=50)
@given(st.integers(3, 25), st.integers(1, EPOCHS - 1), st.integers(0, 1000))
def test_the_spread_is_that_of_examples_left_out(count: int, epochs: int, seed: int) -> None:
    """Left out one by one and fitted anew, as the closed form does at once."""
    examples = [saturating(seed + number) for number in range(count)]
    asked = begun(examples[0], epochs)
    rows = torch.tensor(
        [[*e.accuracies[:epochs], math.log1p(e.params), math.log1p(e.macs), e.layers] for e in examples],
        dtype=torch.float64,
    )
    deviation = rows.std(0, correction=0)
    deviation[deviation < 1e-9] = 1
    x = (rows - rows.mean(0)) / deviation
    y = torch.tensor([max(e.accuracies) for e in examples], dtype=torch.float64)

    def fitted(kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Coefficients with a free intercept, and the inverse of the normal equations' matrix."""
        design = torch.cat([torch.ones(len(kept), 1, dtype=x.dtype), x[kept]], 1)
        penalty = torch.diag(torch.tensor([0.0] + [RIDGE] * x.shape[1], dtype=x.dtype))
        inverse = torch.linalg.inv(design.T @ design + penalty)
        return inverse @ design.T @ y[kept], inverse

    everything = torch.arange(count)
    left_out = []
    for number in range(count):
        weights, _ = fitted(everything[everything != number])
        left_out.append(float(y[number] - weights[0] - x[number] @ weights[1:]))
    whole, inverse = fitted(everything)
    design = torch.cat([torch.ones(count, 1, dtype=x.dtype), x], 1)
    leverage = [float(row @ inverse @ row) for row in design]
    noise = sum(r * r * (1 - h) for r, h in zip(left_out, leverage, strict=True)) / count
    found = ridge(examples, asked)
    assert found.accuracy == pytest.approx(float(whole[0] + x[0] @ whole[1:]), abs=1e-9)
    assert found.spread == pytest.approx(max(math.sqrt(noise * (1 + leverage[0])), 1e-6), rel=1e-6)


@given(st.integers(1000, 2000), st.integers(2, EPOCHS - 1))
def test_curves_like_the_examples_are_foretold_well(seed: int, epochs: int) -> None:
    curve = saturating(seed)
    found = ridge(EXAMPLES, begun(curve, epochs))
    assert found.spread < 0.1
    assert abs(found.accuracy - max(curve.accuracies)) < 6 * found.spread


def test_what_is_unlike_every_example_is_foretold_with_less_confidence() -> None:
    usual = begun(EXAMPLES[0], 3)
    unusual = usual.model_copy(update={"params": 10**9, "layers": 30})
    assert ridge(EXAMPLES, unusual).spread > 2 * ridge(EXAMPLES, usual).spread


@settings(max_examples=200)
@given(curves(), st.integers(1, EPOCHS), accuracies, st.floats(0.5, 0.999), st.lists(curves(), min_size=2, max_size=30))
def test_the_rule(
    curve: LearningCurve, done: int, best: float, confidence: float, examples: list[LearningCurve]
) -> None:
    rule, known = PredictionRule(best=best, confidence=confidence, examples=tuple(examples)), begun(curve, done)
    found = stopped(rule, known, EPOCHS)
    if done in (1, EPOCHS) or max(known.accuracies) >= best:
        assert found is None, "too early, too late, or already there"
    if found is None:
        return
    assert 0 <= found.accuracy <= best == found.best, "no net is stopped of which more is expected"
    assert ridge(examples, known).falls_short(best) >= confidence
    bolder = rule.model_copy(update={"confidence": 0.5})
    assert stopped(bolder, known, EPOCHS) == found
    assert stopped(rule, known, EPOCHS + 1) is None, "the examples had another number of epochs"
    higher = rule.model_copy(update={"best": 1.0})
    assume(found.accuracy < 1)
    assert stopped(higher, known, EPOCHS) is not None, "what cannot reach the best cannot reach a better one"


@pytest.mark.parametrize(("epochs", "first"), [(3, 2), (8, 2), (9, 3), (12, 3), (20, 5), (40, 10)])
def test_it_is_asked_from_a_quarter_of_the_epochs_on(epochs: int, first: int) -> None:
    examples = tuple(saturating(seed, epochs) for seed in range(30))
    flat = LearningCurve(params=1_000, macs=10_000, layers=2, accuracies=(0.2,) * epochs)
    rule = PredictionRule(best=0.95, confidence=0.9, examples=examples)
    stops = [done for done in range(1, epochs + 1) if stopped(rule, begun(flat, done), epochs)]
    assert stops == [*range(first, epochs)]


def test_too_few_epochs_leave_nothing_to_ask() -> None:
    examples = tuple(saturating(seed, 2) for seed in range(30))
    rule = PredictionRule(best=0.95, confidence=0.9, examples=examples)
    for done in (1, 2):
        assert stopped(rule, begun(examples[0], done), 2) is None


rewards = st.floats(-1e12, 1e12) | st.sampled_from([0.0, 5e-324, 1e-160, 0.5])
progress = st.lists(st.builds(QuarterExample, quarter=rewards, final=rewards), min_size=2, max_size=30)


def test_a_line_through_points_on_a_line() -> None:
    examples = [QuarterExample(quarter=x, final=0.5 + 0.5 * x) for x in (0.2, 0.4, 0.6)]
    found = line(examples, 0.1)
    assert found.accuracy == pytest.approx(0.55)
    assert found.spread == 1e-6


def test_the_spread_is_that_of_the_linear_model() -> None:
    """The expected spread is computed as in Draper and Smith 1998, Applied Regression Analysis, section 3.2."""
    examples = [QuarterExample(quarter=x, final=y) for x, y in ((0.1, 0.5), (0.2, 0.4), (0.3, 0.9), (0.4, 0.8))]
    x = torch.tensor([[1.0, example.quarter] for example in examples], dtype=torch.float64)
    y = torch.tensor([example.final for example in examples], dtype=torch.float64)
    weights = torch.linalg.solve(x.T @ x, x.T @ y)
    asked = torch.tensor([1.0, 0.05], dtype=torch.float64)
    noise = float(((y - x @ weights) ** 2).sum()) / (4 - 2)
    found = line(examples, 0.05)
    assert found.accuracy == pytest.approx(float(asked @ weights))
    assert found.spread == pytest.approx(math.sqrt(noise * float(1 + asked @ torch.linalg.inv(x.T @ x) @ asked)))


@settings(max_examples=300)
@given(progress, rewards, rewards)
def test_whoever_has_reached_more_is_not_foretold_less(
    examples: list[QuarterExample], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    worse, better = line(examples, low), line(examples, high)
    assert worse.accuracy <= better.accuracy
    assert math.isfinite(worse.accuracy)
    assert 0 < worse.spread < math.inf


@settings(max_examples=200)
@given(progress, st.lists(rewards, min_size=1, max_size=EPOCHS), rewards, rewards)
def test_the_rule_of_a_quarter(
    examples: list[QuarterExample], reached: list[float], threshold: float, best: float
) -> None:
    rule = QuarterRule(epochs=EPOCHS, threshold=threshold, best=best, examples=tuple(examples))
    known = LearningCurve(params=0, macs=0, layers=1, accuracies=tuple(reached))
    found = stopped(rule, known, EPOCHS, (-1e12, 1e12))
    assert (found is not None) == (len(reached) == quarter(EPOCHS) and max(reached) < min(threshold, best))
    assert stopped(rule, known, EPOCHS + 1, (-1e12, 1e12)) is None, "the examples had another number of epochs"
    if found is not None:
        assert max(reached) <= found.reward(max(reached)) <= best


def test_what_is_foretold_lies_within_the_tasks_bounds() -> None:
    steep = tuple(QuarterExample(quarter=x, final=2 * x - 0.9) for x in (0.8, 0.85, 0.9))
    rule = QuarterRule(epochs=EPOCHS, threshold=0.8, best=0.9, examples=steep)
    found = stopped(rule, LearningCurve(params=0, macs=0, layers=1, accuracies=(0.05, 0.1)), EPOCHS)
    assert found is not None
    assert found.accuracy == 0.0
    assert found.reward(0.1) == 0.1, "no net has less than it had"


@pytest.mark.parametrize(("epochs", "asked"), [(1, []), (2, [1]), (3, [1]), (4, [1]), (5, [2]), (12, [3]), (20, [5])])
def test_it_is_asked_once_after_a_quarter(epochs: int, asked: list[int]) -> None:
    examples = (QuarterExample(quarter=0.5, final=0.8), QuarterExample(quarter=0.6, final=0.9))
    rule = QuarterRule(epochs=max(epochs, 2), threshold=0.6, best=0.9, examples=examples)
    flat = LearningCurve(params=0, macs=0, layers=1, accuracies=(0.2,) * epochs)
    assert [done for done in range(1, epochs + 1) if stopped(rule, begun(flat, done), epochs)] == asked
