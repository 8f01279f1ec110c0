"""Several goals as one number."""

from __future__ import annotations

from math import log
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.errors import SettingsError
from metaqnn_orch.search.front import REWARD, Ranking, RankScale, draw_weights, worth
from metaqnn_orch.search.searcher import Experience, Goals
from tests.control.world import settings

REWARDS = st.lists(st.floats(0, 1), min_size=1, max_size=50)


def test_a_score_is_that_of_the_mean_rank_of_ties() -> None:
    scale = RankScale([0.1, 0.5, 0.5, 0.9])
    assert scale.score(0.1) == pytest.approx(-log(1 - 1 / 5))
    assert scale.score(0.5) == pytest.approx(-log(1 - 2.5 / 5))
    assert scale.score(0.9) == pytest.approx(-log(1 - 4 / 5))
    assert scale.score(0.1) < scale.score(0.3) < scale.score(0.5) < scale.score(0.7) < scale.score(0.9)
    assert scale.score(2.0) == scale.score(0.9)


@given(REWARDS)
def test_scores_keep_the_order_of_values(rewards: list[float]) -> None:
    scale = RankScale(rewards)
    ordered = sorted(rewards)
    scores = [scale.score(reward) for reward in ordered]
    assert scores == sorted(scores)
    for reward, score in zip(ordered, scores, strict=True):
        assert min(rewards) <= scale.value(score) <= max(rewards)
        if rewards.count(reward) == 1:
            assert scale.value(score) == pytest.approx(reward, abs=1e-9)


def experiences() -> list[Experience]:
    """Nets that are the better, the larger they are; the fourth is large and bad."""
    return [
        Experience("small", 0.6, {"params": 10.0}),
        Experience("middle", 0.8, {"params": 100.0}),
        Experience("large", 0.9, {"params": 1000.0}),
        Experience("wasteful", 0.5, {"params": 2000.0}),
    ]


def test_each_point_of_the_front_is_the_best_for_some_weights_and_no_other_is() -> None:
    goals: Goals = {"params": "min"}
    told = experiences()
    ranking = Ranking(told, goals)
    best = set()
    for seed in range(200):
        weights = draw_weights(goals, Random(seed))
        assert sum(weights.values()) == pytest.approx(1)
        best.add(max(told, key=lambda one: worth(ranking.scores(one), weights)).design)
    assert best == {"small", "middle", "large"}


def test_without_goals_the_reward_decides() -> None:
    told = experiences()
    ranking = Ranking(told, {})
    weights = draw_weights({}, Random(0))
    assert weights == {REWARD: 1.0}
    ordered = sorted(told, key=lambda one: -worth(ranking.scores(one), weights))
    assert [one.design for one in ordered] == ["large", "middle", "small", "wasteful"]


def test_a_measure_that_no_result_has_is_named_and_a_result_without_it_is_the_last() -> None:
    with pytest.raises(ValueError, match="front names the measure spikes, which no result has"):
        Ranking(experiences(), {"spikes": "min"})
    told = [*experiences(), Experience("spiking", 0.7, {"spikes": 3.0})]
    scores = Ranking(told, {"spikes": "min"}).scores
    assert scores(told[0])["spikes"] == 0 < scores(told[-1])["spikes"]


@pytest.mark.parametrize("method", ["evolution", "guided"])
@pytest.mark.parametrize(
    ("front", "reason"),
    [
        ({"reward": "max"}, "the reward is none of them"),
        ({"a": "min", "b": "min", "c": "max"}, "at most 2 measures"),
        ({"params": "small"}, "params"),
    ],
)
def test_goals_are_checked(method: str, front: dict[str, str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        settings(search={"method": method, "front": front})
