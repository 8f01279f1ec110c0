"""The epsilon schedule: epsilon as a function of the number of unique nets (paper, Table 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class EpsilonPhase(NamedTuple):
    """A number of different nets (`unique`) that are sampled at one `epsilon`."""

    epsilon: float
    unique: int


PAPER = (
    EpsilonPhase(1.0, 1500),
    *(EpsilonPhase(epsilon, 100) for epsilon in (0.9, 0.8, 0.7)),
    *(EpsilonPhase(epsilon, 150) for epsilon in (0.6, 0.5, 0.4, 0.3, 0.2, 0.1)),
)


def total(phases: Sequence[EpsilonPhase]) -> int:
    return sum(phase.unique for phase in phases)


def epsilon_at(phases: Sequence[EpsilonPhase], unique: int) -> float:
    """Epsilon for the net after `unique` unique ones. After the end of the schedule the last epsilon holds."""
    for epsilon, count in phases:
        if unique < count:
            return epsilon
        unique -= count
    return phases[-1].epsilon


def scaled(phases: Sequence[EpsilonPhase], new_total: int) -> tuple[EpsilonPhase, ...]:
    """The same phases shrunk or stretched to `new_total` unique nets (largest remainder), empty ones dropped."""
    shares = [divmod(phase.unique * new_total, total(phases)) for phase in phases]
    counts = [count for count, _ in shares]
    by_remainder = sorted(range(len(phases)), key=lambda index: -shares[index][1])
    for index in by_remainder[: new_total - sum(counts)]:
        counts[index] += 1
    return tuple(EpsilonPhase(phase.epsilon, count) for phase, count in zip(phases, counts, strict=True) if count)
