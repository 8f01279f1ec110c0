"""Several goals at once: the reward, and one or two measures beside it.

A value counts by its rank among the told ones, which has no unit. The worth of a design is the weighted Chebyshev
scalarisation of its goals' scores (Knowles 2006, ParEGO), which also finds the hollow parts of a front. Each proposal
draws weights of its own, so that the search as a whole walks along the front.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import exp, log
from random import Random
from typing import Any, ClassVar, Final, Literal

from metaqnn_orch.search.searcher import Experience, Goals, Searcher, Setup

REWARD: Final = "reward"
MOST: Final = 2  # measures beside the reward


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontOptions:
    """The option of a searcher that may look for a front."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}
    front: dict[str, Literal["min", "max"]] = field(default_factory=dict)
    """Measures beside the reward, one or two, that should be small (`min`) or large (`max`): `{params: min}`. The
    search then walks along the front of all of them."""

    def __post_init__(self) -> None:
        if len(self.front) > MOST or REWARD in self.front:
            said = ", ".join(self.front)
            raise ValueError(f"front has at most {MOST} measures, and the reward is none of them, got {said}")


class FrontSearcher(Searcher):
    """Keeps the first result of each design; where there are goals, with the measures that the space knows of it. Its
    Options are FrontOptions.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._told: dict[str, Experience] = {}

    @property
    def goals(self) -> Goals:
        front: Goals = self.options.front
        return front

    def tell(self, experience: Experience) -> None:
        if self.goals:
            measures = {**experience.measures, **self.space.measures(experience.design)}
            experience = experience._replace(measures=measures)
        self._told.setdefault(experience.design, experience)


def draw_weights(goals: Goals, rng: Random) -> dict[str, float]:
    """Random weights of the reward and of each goal, uniform among those whose sum is 1."""
    drawn = {name: -log(1.0 - rng.random()) for name in (REWARD, *goals)}
    total = sum(drawn.values()) or 1.0
    return {name: weight / total for name, weight in drawn.items()}


def worth(scores: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """The least of the scores, each divided by its weight."""
    return min(score / max(weights[name], 1e-9) for name, score in scores.items())


class RankScale:
    """Scores of values by their rank among known ones: -log(1 - rank / (n + 1)), where ties have their mean rank. The
    differences are largest among the best.
    """

    def __init__(self, values: Iterable[float]) -> None:
        """`values` are not empty, and higher is better."""
        self._values = sorted(values)

    def score(self, value: float) -> float:
        """The score of a known value, or of one between two of them."""
        below, through = bisect_left(self._values, value), bisect_right(self._values, value)
        rank = (below + 1 + through) / 2  # the mean rank of `through - below` ties; halfway between two known values
        return -log(1 - min(rank, len(self._values)) / (len(self._values) + 1))

    def value(self, score: float) -> float:
        """The value at a score, interpolated between the known ones."""
        place = min(max((1 - exp(-score)) * (len(self._values) + 1) - 1, 0.0), len(self._values) - 1.0)
        low = int(place)
        high = min(low + 1, len(self._values) - 1)
        return self._values[low] + (place - low) * (self._values[high] - self._values[low])


class Ranking:
    """Scores of designs among the told ones, for each goal."""

    def __init__(self, told: Collection[Experience], goals: Goals) -> None:
        """`told` are not empty.

        Raises:
            ValueError: no result has a measure that is a goal.
        """
        self._signs = {name: -1.0 if goals.get(name) == "min" else 1.0 for name in (REWARD, *goals)}
        self._scales: dict[str, RankScale] = {}
        for name, sign in self._signs.items():
            values = [sign * value for one in told if (value := _value(name, one)) is not None]
            if not values:
                raise ValueError(f"front names the measure {name}, which no result has")
            self._scales[name] = RankScale(values)

    def score(self, goal: str, value: float) -> float:
        """The score of a value of a goal."""
        return self._scales[goal].score(self._signs[goal] * value)

    def scores(self, one: Experience) -> dict[str, float]:
        """The score of a told design for each goal; 0 where it has no such measure."""
        values = {name: _value(name, one) for name in self._signs}
        return {name: 0.0 if value is None else self.score(name, value) for name, value in values.items()}

    def reward(self, score: float) -> float:
        """The reward at a score."""
        return self._scales[REWARD].value(score)


def _value(name: str, one: Experience) -> float | None:
    return one.reward if name == REWARD else one.measures.get(name)
