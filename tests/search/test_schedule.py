from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.search.schedule import PAPER, EpsilonPhase, epsilon_at, scaled, total

PHASES = st.lists(st.builds(EpsilonPhase, st.floats(0, 1), st.integers(1, 10_000)), min_size=1, max_size=12)


def test_the_papers_schedule() -> None:
    """Table 2."""
    assert [(phase.epsilon, phase.unique) for phase in PAPER] == [
        (1.0, 1500),
        (0.9, 100),
        (0.8, 100),
        (0.7, 100),
        (0.6, 150),
        (0.5, 150),
        (0.4, 150),
        (0.3, 150),
        (0.2, 150),
        (0.1, 150),
    ]
    assert total(PAPER) == 2700


@pytest.mark.parametrize(
    ("unique", "epsilon"),
    [
        (0, 1.0),
        (1499, 1.0),
        (1500, 0.9),
        (1599, 0.9),
        (1600, 0.8),
        (1700, 0.7),
        (1799, 0.7),
        (1800, 0.6),
        (1949, 0.6),
        (1950, 0.5),
        (2100, 0.4),
        (2250, 0.3),
        (2400, 0.2),
        (2549, 0.2),
        (2550, 0.1),
        (2699, 0.1),
        (2700, 0.1),
        (1_000_000, 0.1),
    ],
)
def test_epsilon_by_unique_nets(unique: int, epsilon: float) -> None:
    assert epsilon_at(PAPER, unique) == epsilon


@given(PHASES)
def test_each_phase_lasts_as_long_as_it_says(phases: list[EpsilonPhase]) -> None:
    begin = 0
    for epsilon, unique in phases:
        assert epsilon_at(phases, begin) == epsilon
        assert epsilon_at(phases, begin + unique - 1) == epsilon
        begin += unique
    assert epsilon_at(phases, begin) == phases[-1].epsilon


@given(PHASES, st.integers(1, 1_000_000))
def test_scaled_schedules(phases: list[EpsilonPhase], new_total: int) -> None:
    result = scaled(phases, new_total)
    assert total(result) == new_total
    assert all(phase.unique > 0 for phase in result)
    rest = iter(phases)
    assert all(any(phase.epsilon == old.epsilon for old in rest) for phase in result), "the order changed"
    if len(result) == len(phases):
        for old, new in zip(phases, result, strict=True):
            assert abs(new.unique - old.unique * new_total / total(phases)) < 1


def test_scaling_by_hand() -> None:
    assert scaled(PAPER, 2700) == PAPER
    assert [phase.unique for phase in scaled(PAPER, 27)] == [15, 1, 1, 1, 2, 2, 2, 1, 1, 1]
    assert scaled(PAPER, 1) == (EpsilonPhase(1.0, 1),)
    assert scaled([EpsilonPhase(1.0, 1), EpsilonPhase(0.1, 2)], 300_000_000) == (
        EpsilonPhase(1.0, 100_000_000),
        EpsilonPhase(0.1, 200_000_000),
    )
