"""What searchers choose to be confirmed."""

from __future__ import annotations

import pytest

from metaqnn_orch.search.searcher import NOTHING_CONFIRMED, SEARCHERS, Experience, Known
from metaqnn_orch.search.searchers.guided import Guided
from metaqnn_orch.settings.model import Settings
from tests import built_in
from tests.control.world import settings

WIDE = 0.9  # the reward of designs that begin with a wide convolution, which a forest can learn
NARROW = 0.5


def by(method: str, **options: object) -> Settings:
    return settings(search={"method": method, **options})


def designs(count: int) -> list[str]:
    drawn = by("random").searcher()
    known: dict[str, None] = {}
    for step in range(100 * count):
        proposal = drawn.propose(step, Known(0, (), known.keys()))
        assert proposal is not None
        known[proposal.design] = None
        if len(known) == count:
            return [*known]
    raise AssertionError("the space has fewer designs")


def plain(design: str) -> float:
    """A reward without luck."""
    return WIDE if design.startswith("[C(64") else NARROW


def ranked(rewards: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(rewards.items(), key=lambda item: -item[1])


def told(rewards: dict[str, float], **options: object) -> Guided:
    searcher = by("guided", **options).searcher()
    assert isinstance(searcher, Guided)
    for design, reward in rewards.items():
        searcher.tell(Experience(design, reward, {"accuracy": reward}))
    return searcher


@pytest.mark.parametrize("method", sorted(SEARCHERS.members()))
@pytest.mark.parametrize("count", [1, 3, 50])
def test_each_chooses_among_the_trained_ones_and_always_the_same(method: str, count: int) -> None:
    rewards = {design: plain(design) + number / 1000 for number, design in enumerate(designs(20))}
    searcher = by(method).searcher()
    for design, reward in rewards.items():
        searcher.tell(Experience(design, reward))
    chosen = [*searcher.shortlist(ranked(rewards), count)]
    assert len({*chosen}) == len(chosen) == min(count, len(rewards))
    assert {*chosen} <= rewards.keys()
    assert [*searcher.shortlist(ranked(rewards), count)] == chosen


def test_guided_search_doubts_a_reward_that_its_forest_does_not_expect() -> None:
    rewards = {design: plain(design) + number / 10_000 for number, design in enumerate(designs(60))}
    lucky = next(design for design, reward in rewards.items() if reward < WIDE)
    rewards[lucky] = sorted(rewards.values())[-3] + 1e-6
    assert lucky in [design for design, _ in ranked(rewards)[:3]]
    chosen = [*told(rewards).shortlist(ranked(rewards), 3)]
    assert lucky not in chosen
    assert all(rewards[design] > WIDE for design in chosen)


def test_its_measurements_count_as_much() -> None:
    """Among designs that the forest cannot tell apart, the better measured ones are chosen."""
    rewards = {design: plain(design) + number / 10_000 for number, design in enumerate(designs(60))}
    chosen = [*told(rewards).shortlist(ranked(rewards), 5)]
    best = [design for design, _ in ranked(rewards)[:10]]
    assert {*chosen} <= {*best}


def test_it_reads_the_means_that_it_is_handed() -> None:
    rewards = {design: plain(design) + number / 10_000 for number, design in enumerate(designs(60))}
    searcher = told(rewards)
    first = [*searcher.shortlist(ranked(rewards), 1)]
    corrected = rewards | dict.fromkeys(first, 0.1)
    assert [*searcher.shortlist(ranked(corrected), 1)] != first


def test_before_its_forest_is_fitted_the_best_measured_ones_are_chosen() -> None:
    rewards = {design: plain(design) + number / 10_000 for number, design in enumerate(designs(9))}
    assert [*told(rewards).shortlist(ranked(rewards), 3)] == [design for design, _ in ranked(rewards)[:3]]


def test_other_goals_have_no_say() -> None:
    rewards = {design: plain(design) + number / 10_000 for number, design in enumerate(designs(60))}
    goals = told(rewards, front={"params": "min"})
    assert [*goals.shortlist(ranked(rewards), 5)] == [*told(rewards).shortlist(ranked(rewards), 5)]


def test_a_choice_changes_no_later_proposal() -> None:
    rewards = {design: plain(design) for design in designs(32)}
    one, two = told(rewards), told(rewards)
    one.shortlist(ranked(rewards), 5)
    known = Known(len(rewards), (), rewards.keys())
    assert [one.propose(step, known) for step in range(5)] == [two.propose(step, known) for step in range(5)]


def test_by_default_guided_search_alone_confirms() -> None:
    confirming = {name: kind.confirm for name, kind in built_in.METHODS.items()}
    assert confirming.pop("guided") == (5, 2)
    assert {*confirming.values()} == {NOTHING_CONFIRMED}
    assert by("guided").confirm == (5, 2)
    assert by("guided", confirm={"top": 0}).confirm.top == 0
