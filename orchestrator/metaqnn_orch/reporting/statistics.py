"""What the paper's figures show, as numbers. Pure functions of plain values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from statistics import fmean
from typing import Final, NamedTuple

from metaqnn_orch.search.q_table import QValue
from metaqnn_trainer.spaces.cnn.layer import Layer

ROLLING: Final = 100  # nets; the paper's Figure 3
BINS: Final = 20


class EpsilonBar(NamedTuple):
    """The nets that were sampled at one epsilon: a bar of Figure 3."""

    epsilon: float | None
    """None where the searcher has none."""
    nets: int
    mean: float
    best: float
    first: int
    """How many nets belong to the phases before it."""


class Bin(NamedTuple):
    """One bar of a histogram (Figure A2): rewards from `low` up to `high`, which the last bar includes."""

    epsilon: float | None
    low: float
    high: float
    nets: int
    share: float
    """Of the nets at this epsilon."""


class MeanQ(NamedTuple):
    """The mean Q-value of the layers of one group at one depth (Figures A3 and A4)."""

    depth: int
    """Of the layer, from 1."""
    group: str
    mean: float
    entries: int
    """Values of the Q-table that went into it: those that were ever updated."""


def rolling_means(values: Sequence[float], window: int = ROLLING) -> list[float]:
    """After each value the mean of the last `window`, or of all while there are fewer."""
    sums = [0.0, *accumulate(values)]
    return [(sums[n] - sums[max(0, n - window)]) / min(n, window) for n in range(1, len(sums))]


def phases(rewards: Iterable[tuple[float | None, float]]) -> list[EpsilonBar]:
    """Rewards with their epsilons, by epsilon: the highest first, as the schedule has them."""
    found: list[EpsilonBar] = []
    for epsilon, values in _grouped(rewards):
        first = found[-1].first + found[-1].nets if found else 0
        found.append(EpsilonBar(epsilon, len(values), fmean(values), max(values), first))
    return found


def histograms(
    rewards: Iterable[tuple[float | None, float]], bins: int = BINS, low: float = 0.0, high: float = 1.0
) -> list[Bin]:
    """Rewards from `low` to `high` with their epsilons, counted in bars of one width; empty bars too. The highest
    epsilon first."""
    edges = [low + (high - low) * n / bins for n in range(bins + 1)]
    found: list[Bin] = []
    for epsilon, values in _grouped(rewards):
        counts = [0] * bins
        for value in values:
            counts[min(max(0, int((value - low) / (high - low) * bins)), bins - 1)] += 1
        found += [Bin(epsilon, edges[n], edges[n + 1], count, count / len(values)) for n, count in enumerate(counts)]
    return found


def mean_q(entries: Iterable[QValue], group: Callable[[Layer], str | None]) -> list[MeanQ]:
    """Mean Q-values by the group that `group` puts a layer in and the layer's depth; None leaves it out."""
    values: defaultdict[tuple[int, str], list[float]] = defaultdict(list)
    for state, layer, value, _ in entries:
        name = group(layer)
        if name is not None:
            values[state.depth + 1, name].append(value)
    return [MeanQ(depth, name, fmean(found), len(found)) for (depth, name), found in sorted(values.items())]


def layer_type(layer: Layer) -> str:
    """The notation's name of a layer's kind: C, P, FC, …"""
    return layer.name


def receptive_field(layer: Layer) -> str | None:
    """Of a convolution of any kind: 3 for 3x3."""
    return str(layer.convolutions[0][1]) if layer.convolves and layer.convolutions else None


def pareto_front(points: Iterable[tuple[float, float]]) -> list[int]:
    """Which of some (cost, value) no other beats in both, by their numbers in the order given: the cheapest first.
    Of equal ones the first."""
    ordered = sorted(enumerate(points), key=lambda item: (item[1][0], -item[1][1], item[0]))
    front: list[int] = []
    best = float("-inf")
    for number, (_, value) in ordered:
        if value > best:
            front.append(number)
            best = value
    return front


def lanes(spans: Sequence[tuple[float, float]]) -> list[int]:
    """A lane, from 0, for each span of time (begin, end), the lowest in which it overlaps no other."""
    ends: list[float] = []
    chosen = [0] * len(spans)
    for number in sorted(range(len(spans)), key=lambda number: spans[number]):
        begin, end = spans[number]
        lane = next((lane for lane, free in enumerate(ends) if free <= begin), len(ends))
        ends[lane : lane + 1] = [end]
        chosen[number] = lane
    return chosen


def _grouped(rewards: Iterable[tuple[float | None, float]]) -> list[tuple[float | None, list[float]]]:
    """By epsilon, the highest first."""
    groups: defaultdict[float | None, list[float]] = defaultdict(list)
    for epsilon, reward in rewards:
        groups[epsilon].append(reward)
    return sorted(groups.items(), key=lambda group: -1.0 if group[0] is None else group[0], reverse=True)
