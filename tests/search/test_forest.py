"""The forest that guided search learns with."""

from __future__ import annotations

from random import Random

import pytest

from metaqnn_orch.search.forest import UNIT, Forest


def rows_of(count: int, seed: int = 0) -> list[dict[str, float]]:
    rng = Random(seed)
    return [{"a": rng.random(), "b": float(rng.random() < 0.5), "noise": rng.random()} for _ in range(count)]


def target(row: dict[str, float]) -> float:
    return 2 * row["a"] + row["b"]


def test_it_learns_what_targets_depend_on() -> None:
    rows = rows_of(400)
    forest = Forest(rows, [target(row) for row in rows], Random(1))
    fresh = rows_of(200, seed=9)
    errors = [abs(forest.predict(row) - target(row)) for row in fresh]
    assert sum(errors) / len(errors) < 0.15  # the targets spread by 0.8
    assert list(forest.importance)[:2] == ["a", "b"]
    assert sum(forest.importance.values()) == pytest.approx(1)
    assert forest.importance.get("noise", 0.0) < 0.05


def test_partial_dependence_follows_the_feature() -> None:
    rows = rows_of(300)
    forest = Forest(rows, [target(row) for row in rows], Random(1))
    curve = forest.dependence("b", rows)
    assert list(curve) == [0.0, 1.0]
    assert curve[1.0] - curve[0.0] == pytest.approx(1, abs=0.2)


def test_a_feature_that_is_missing_is_zero_and_one_never_seen_is_ignored() -> None:
    forest = Forest([{"a": 1.0}, {}, {"a": 1.0}, {}] * 5, [1.0, 0.0, 1.0, 0.0] * 5, Random(3))
    assert forest.predict({"a": 1.0}) > 0.9 > 0.1 > forest.predict({}) == forest.predict({"strange": 7.0})


def test_it_follows_from_rows_targets_and_generator() -> None:
    rows = rows_of(60)
    one, two, other = (Forest(rows, [target(row) for row in rows], Random(seed)) for seed in (1, 1, 2))
    predictions = [[forest.predict(row) for row in rows] for forest in (one, two, other)]
    assert predictions[0] == predictions[1]
    assert predictions[0] != predictions[2]


def test_its_trees_are_the_ones_it_has_always_grown() -> None:
    """A run that goes on with another version of Python, or on another machine, has to propose the same."""
    rows = [{"x": float(number % 7), "y": float(number % 3)} for number in range(40)]
    forest = Forest(rows, [row["x"] * 0.1 - row["y"] * 0.3 for row in rows], Random("fixed"), trees=3, tried=1)
    found = [round(forest.predict(row) * UNIT) for row in rows[:6]]
    assert found == [129140, -64080, -222108, 206036, 35938, -103269]


def test_chosen_trees_alone_decide() -> None:
    rows = rows_of(60)
    forest = Forest(rows, [target(row) for row in rows], Random(1), trees=5)
    row = rows[0]
    each = [forest.predict(row, [number]) for number in range(len(forest))]
    assert len(set(each)) > 1
    assert forest.predict(row) == pytest.approx(sum(each) / 5)
    assert forest.predict(row, [1, 3]) == pytest.approx((each[1] + each[3]) / 2)


@pytest.mark.parametrize("targets", [[0.5] * 20, [0.0, 1.0] * 10])
def test_rows_that_cannot_be_told_apart_have_their_mean(targets: list[float]) -> None:
    forest = Forest([{"a": 1.0}] * 20, targets, Random(0))
    assert 0.2 < forest.predict({"a": 1.0}) < 0.8
    assert forest.importance == {}
