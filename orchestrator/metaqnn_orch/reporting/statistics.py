"""The numbers of the paper's figures. Pure functions of plain values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from statistics import fmean
from typing import Final, NamedTuple

from metaqnn_orch.search.q_table import QValue
from metaqnn_trainer.spaces.cnn.layer import Layer

ROLLING: Final = 100  # nets in a rolling mean, as in the paper's Figure 3
BINS: Final = 20


class EpsilonBar(NamedTuple):
    """The nets that were sampled at one epsilon: a bar of Figure 3."""

    epsilon: float | None
    """The epsilon; None where the searcher has none."""
    nets: int
    mean: float
    best: float
    first: int
    """Number of nets in the phases before this one."""


class Bin(NamedTuple):
    """One bar of a histogram (Figure A2): rewards from `low` up to `high`; only the last bar includes `high`."""

    epsilon: float | None
    low: float
    high: float
    nets: int
    share: float
    """Share of the nets at this epsilon."""


class MeanQ(NamedTuple):
    """The mean Q-value of the layers of one group at one depth (Figures A3 and A4)."""

    depth: int
    """Depth of the layer, from 1."""
    group: str
    mean: float
    entries: int
    """Number of Q-values in the mean; only values that were updated count."""


def rolling_means(values: Sequence[float], window: int = ROLLING) -> list[float]:
    """For each value, the mean of the last `window` values up to it, or of all while there are fewer."""
    sums = [0.0, *accumulate(values)]
    return [(sums[n] - sums[max(0, n - window)]) / min(n, window) for n in range(1, len(sums))]


def phases(rewards: Iterable[tuple[float | None, float]]) -> list[EpsilonBar]:
    """Groups rewards with their epsilons by epsilon, the highest first, as in the schedule."""
    found: list[EpsilonBar] = []
    for epsilon, values in _grouped(rewards):
        first = found[-1].first + found[-1].nets if found else 0
        found.append(EpsilonBar(epsilon, len(values), fmean(values), max(values), first))
    return found


def histograms(
    rewards: Iterable[tuple[float | None, float]], bins: int = BINS, low: float = 0.0, high: float = 1.0
) -> list[Bin]:
    """Counts rewards from `low` to `high`, with their epsilons, in bars of equal width, including empty bars. The
    highest epsilon comes first.
    """
    edges = [low + (high - low) * n / bins for n in range(bins + 1)]
    found: list[Bin] = []
    for epsilon, values in _grouped(rewards):
        counts = [0] * bins
        for value in values:
            counts[min(max(0, int((value - low) / (high - low) * bins)), bins - 1)] += 1
        found += [Bin(epsilon, edges[n], edges[n + 1], count, count / len(values)) for n, count in enumerate(counts)]
    return found


def mean_q(entries: Iterable[QValue], group: Callable[[Layer], str | None]) -> list[MeanQ]:
    """Mean Q-values by the layer's depth and by the group that `group` returns for it; layers with None are left
    out.
    """
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
    """Receptive field of a convolution of any kind: 3 for 3x3; None for other layers."""
    return str(layer.convolutions[0][1]) if layer.convolves and layer.convolutions else None


def pareto_front(points: Iterable[tuple[float, float]]) -> list[int]:
    """The Pareto front of points (cost, value): the indices of the points that no other beats in both, the cheapest
    first. Among equal points, the first counts.
    """
    ordered = sorted(enumerate(points), key=lambda item: (item[1][0], -item[1][1], item[0]))
    front: list[int] = []
    best = float("-inf")
    for number, (_, value) in ordered:
        if value > best:
            front.append(number)
            best = value
    return front


def lanes(spans: Sequence[tuple[float, float]]) -> list[int]:
    """A lane, from 0, for each span of time (begin, end): the lowest lane in which it overlaps no other span."""
    ends: list[float] = []
    chosen = [0] * len(spans)
    for number in sorted(range(len(spans)), key=lambda number: spans[number]):
        begin, end = spans[number]
        lane = next((lane for lane, free in enumerate(ends) if free <= begin), len(ends))
        ends[lane : lane + 1] = [end]
        chosen[number] = lane
    return chosen


def _grouped(rewards: Iterable[tuple[float | None, float]]) -> list[tuple[float | None, list[float]]]:
    """Rewards by epsilon, the highest epsilon first."""
    groups: defaultdict[float | None, list[float]] = defaultdict(list)
    for epsilon, reward in rewards:
        groups[epsilon].append(reward)
    return sorted(groups.items(), key=lambda group: -1.0 if group[0] is None else group[0], reverse=True)
