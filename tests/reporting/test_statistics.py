"""The numbers behind the figures."""

from __future__ import annotations

import itertools
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.reporting.statistics import (
    EpsilonBar,
    histograms,
    lanes,
    layer_type,
    mean_q,
    pareto_front,
    phases,
    receptive_field,
    rolling_means,
)
from metaqnn_orch.search.q_table import QValue
from metaqnn_trainer.spaces.cnn.layer import Layer, StateKey
from metaqnn_trainer.spaces.cnn.layers.conv import Conv
from metaqnn_trainer.spaces.cnn.layers.fully_connected import FC
from metaqnn_trainer.spaces.cnn.layers.gap import GAP
from metaqnn_trainer.spaces.cnn.layers.max_pool import Pool
from metaqnn_trainer.spaces.cnn.layers.softmax import SM

accuracies = st.floats(0, 1)
told = st.lists(st.tuples(st.sampled_from([1.0, 0.5, 0.1]), accuracies))


@given(st.lists(accuracies), st.integers(1, 20))
def test_a_rolling_mean_is_the_mean_of_the_last_ones(values: list[float], window: int) -> None:
    means = rolling_means(values, window)
    assert means == pytest.approx([fmean(values[max(0, n - window) : n]) for n in range(1, len(values) + 1)], abs=1e-9)


def test_phases_come_as_the_schedule_has_them_however_trials_ended() -> None:
    assert phases([(0.5, 0.5), (1.0, 0.25), (0.5, 0.75), (1.0, 0.5), (0.1, 0.875)]) == [
        EpsilonBar(1.0, 2, 0.375, 0.5, 0),
        EpsilonBar(0.5, 2, 0.625, 0.75, 2),
        EpsilonBar(0.1, 1, 0.875, 0.875, 4),
    ]


@given(told, st.integers(1, 30))
def test_every_net_is_in_one_bar(values: list[tuple[float, float]], bins: int) -> None:
    found = histograms(values, bins)
    for epsilon in {epsilon for epsilon, _ in values}:
        bars = [bar for bar in found if bar.epsilon == epsilon]
        assert [bar.low for bar in bars] == sorted({bar.low for bar in bars})
        assert sum(bar.nets for bar in bars) == sum(1 for other, _ in values if other == epsilon)
        assert sum(bar.share for bar in bars) == pytest.approx(1)
    assert len(found) == bins * len({epsilon for epsilon, _ in values})


def test_the_best_accuracy_that_there_is_falls_into_the_last_bar() -> None:
    *others, last = histograms([(1.0, 1.0), (1.0, 0.0)], 4)
    assert (last.nets, last.high) == (1, 1.0)
    assert [bar.nets for bar in others] == [1, 0, 0]


def entry(depth: int, layer: Layer, value: float) -> QValue:
    return QValue(StateKey("C", depth, 0, 0, 0, 8, 0, 0), layer, value, 1)


def test_mean_q_values_by_depth_and_group() -> None:
    entries = [
        entry(0, Conv(64, 3), 0.4),
        entry(0, Conv(128, 3), 0.6),
        entry(0, Conv(64, 5), 0.9),
        entry(1, Pool(2, 2), 0.7),
        entry(1, SM(10), 0.1),
    ]
    assert [tuple(item) for item in mean_q(entries, layer_type)] == [
        (1, "C", pytest.approx(1.9 / 3), 3),
        (2, "P", 0.7, 1),
        (2, "SM", 0.1, 1),
    ]
    assert [tuple(item) for item in mean_q(entries, receptive_field)] == [
        (1, "3", pytest.approx(0.5), 2),
        (1, "5", 0.9, 1),
    ]


@pytest.mark.parametrize(
    ("layer", "kind"), [(Conv(1, 1), "C"), (Pool(2, 2), "P"), (FC(8), "FC"), (GAP(10), "GAP"), (SM(10), "SM")]
)
def test_layer_types_are_the_notations(layer: Layer, kind: str) -> None:
    assert layer_type(layer) == kind


@given(st.lists(st.tuples(st.integers(1, 50), accuracies)))
def test_nothing_beats_what_is_on_the_front_and_everything_else_is_beaten(points: list[tuple[int, float]]) -> None:
    front = pareto_front(points)
    assert [points[number] for number in front] == sorted({points[number] for number in front})
    for number, (cost, accuracy) in enumerate(points):
        better = [
            other
            for other in front
            if points[other][0] <= cost and points[other][1] >= accuracy and points[other] != (cost, accuracy)
        ]
        assert bool(better) != (points[number] in {points[other] for other in front})


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10)).map(lambda pair: (pair[0], sum(pair)))))
def test_trials_in_one_lane_never_overlap(spans: list[tuple[float, float]]) -> None:
    chosen = lanes(spans)
    for lane in set(chosen):
        inside = sorted(span for span, number in zip(spans, chosen, strict=True) if number == lane)
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(inside))


def test_a_lane_is_used_again_as_soon_as_it_is_free() -> None:
    assert lanes([(0, 2), (0, 1), (1, 3), (2, 4)]) == [1, 0, 0, 1]
