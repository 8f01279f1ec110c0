"""Means of searches with bootstrap intervals over the seeds, and who is better than whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES: Final = 10_000
COVERED: Final = (0.025, 0.975)  # quantiles of a 95 % interval


class Interval(NamedTuple):
    """A mean over seeds, and its 95 % interval: the percentiles of the means of resampled seeds."""

    mean: float
    low: float
    high: float

    def percent(self, *, signed: bool = False) -> str:
        mean, low, high = (f"{100 * value:{'+' if signed else ''}.2f}" for value in self)
        return f"{mean} [{low}, {high}]"


def interval(values: Sequence[float]) -> Interval:
    array = np.asarray(values)
    means = array[_picks(len(array))].mean(axis=1)
    low, high = np.quantile(means, COVERED)
    return Interval(float(array.mean()), float(low), float(high))


def interval_of_curves(curves: Sequence[Sequence[float]]) -> list[Interval]:
    """At each place of the curves, one for each seed."""
    return [interval(values) for values in zip(*curves, strict=True)]


@cache
def _picks(count: int) -> NDArray[np.int64]:
    """Which seeds each resampling takes: the same ones for everybody, so that differences are paired."""
    return np.random.default_rng(0).integers(count, size=(RESAMPLES, count))


class Verdict(NamedTuple):
    """The champion beside the strongest rival."""

    rival: str
    difference: Interval
    seeds: int

    @property
    def word(self) -> str:
        if self.difference.low > 0:
            return "win"
        return "loss" if self.difference.high < 0 else "tie"


def difference(one: Mapping[int, float], other: Mapping[int, float]) -> Interval:
    """The mean difference with its interval. Values are by seed, and only seeds that both have count."""
    return interval([one[seed] - other[seed] for seed in one if seed in other])


def verdict(champion: Mapping[int, float], rivals: Mapping[str, Mapping[int, float]]) -> Verdict | None:
    """Against the rival of the highest mean; None where there is none. All values are by seed."""
    if not rivals:
        return None
    strongest = max(rivals, key=lambda name: float(np.mean([*rivals[name].values()])))
    against = rivals[strongest]
    return Verdict(strongest, difference(champion, against), len(champion.keys() & against.keys()))
