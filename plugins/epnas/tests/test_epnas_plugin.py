"""EPNAS grows depth stage by stage, its policy moves towards what is good, and its predictor chooses."""

from __future__ import annotations

import random
from math import log
from typing import Any, Final

import pytest
from tests.control.world import settings

from metaqnn_epnas.policy import Policy
from metaqnn_epnas.searcher import Epnas
from metaqnn_orch.search.searcher import Experience, Known, Setup
from metaqnn_trainer.spaces.base import Space

SPACE: Final = settings(space__max_layers=6, space__convolution={"filters": [4, 8]}).state_space()


def made(space: Space = SPACE, seed: int = 0, **options: Any) -> Epnas:
    return Epnas(Setup(space, Epnas.Options(**options), lambda what, step: random.Random(f"{seed} {what} {step}"), ()))


def layers(design: str) -> int:
    """How many there are before the termination."""
    return len(SPACE.walk(design)) - 1


def convolutions(design: str) -> float:
    return design.count("C(8") / 6


def searched(searcher: Epnas, steps: int) -> list[str]:
    designs: dict[str, None] = {}
    for step in range(steps):
        proposal = searcher.propose(step, Known(step, (), designs.keys()))
        designs[proposal.design] = None
        searcher.tell(Experience(proposal.design, convolutions(proposal.design)))
    return [*designs]


def test_designs_grow_from_stage_to_stage() -> None:
    designs = searched(made(depth=1, growth=2, stage=12), 36)
    deepest = [max(map(layers, designs[begin : begin + 12])) for begin in (0, 12, 24)]
    assert deepest == [1, 3, 5]


def test_a_stage_that_is_used_up_does_not_hold_the_search() -> None:
    designs = searched(made(depth=1, stage=1000), 60)
    assert len(designs) == 60
    assert max(map(layers, designs)) > 1


def test_the_policy_moves_towards_what_is_better_than_the_rest_and_away_from_what_is_worse() -> None:
    policy, design = Policy(SPACE, rate=0.1, floor=0.1), "[C(8,3,1), C(8,1,1), SM(10)]"
    first = SPACE.walk(design)[0][1]

    def probability() -> float:
        shares = policy.shares(SPACE.start, [], 6)
        assert shares.keys() == {*SPACE.legal(SPACE.start)}
        assert sum(shares.values()) == pytest.approx(1)
        assert min(shares.values()) >= 0.1 / len(shares), "every move keeps its share"
        return shares[first]

    even = probability()
    policy.learn(design, 1.0, depth=6)
    assert probability() > even
    policy.learn(design, -3.0, depth=6)
    assert probability() < even
    for _ in range(1000):
        policy.learn(design, 5.0, depth=6)
    assert probability() == pytest.approx(0.9 + 0.1 / len(SPACE.legal(SPACE.start)), abs=0.01)


def test_one_step_is_the_gradient_of_the_logarithm_of_the_probability() -> None:
    """Every seventh weight is compared with a difference quotient."""
    policy, design = Policy(SPACE, rate=1.0, floor=0.0), "[C(8,3,1), C(8,1,1), SM(10)]"
    searcher = random.Random(0)
    for _ in range(20):
        policy.learn(policy.draw(searcher, 6), searcher.random() - 0.5, depth=6)

    def logarithm(weights: dict[Any, float]) -> float:
        other = Policy(SPACE, rate=1.0, floor=0.0)
        other.weights = weights
        before: list[Any] = []
        total = 0.0
        for state, move in SPACE.walk(design):
            total += log(other.shares(state, before, 6)[move])
            before.append(move)
        return total

    weights = dict(policy.weights)
    policy.learn(design, 1.0, depth=6)
    steps = {name: policy.weights[name] - weights.get(name, 0.0) for name in policy.weights}
    for name in sorted(weights, key=str)[::7]:
        up, down = (logarithm(weights | {name: weights[name] + change}) for change in (1e-6, -1e-6))
        assert (up - down) / 2e-6 == pytest.approx(steps[name], abs=1e-6)


def test_what_is_learned_of_one_depth_serves_at_the_next() -> None:
    policy = Policy(SPACE, rate=0.5, floor=0.1)
    for _ in range(20):
        policy.learn("[C(8,3,1), C(8,3,1), C(8,3,1), SM(10)]", 1.0, depth=3)
    beginning = "[C(4,1,1), C(4,1,1), C(4,1,1), C(8,3,1)]"
    shares = policy.shares(SPACE.after(beginning), SPACE.beginning(beginning), 6)
    assert str(max(shares, key=lambda move: shares[move])) == "C(8,3,1)"


def test_the_depth_limit_teaches_nothing() -> None:
    policy = Policy(SPACE, rate=0.5, floor=0.1)
    policy.learn("[SM(10)]", 1.0, depth=0)
    ends = [move for _, _, move in policy.weights]
    assert set(ends) <= {"GAP(10)", "SM(10)"}, "only the moves among which there was a choice"


def test_it_finds_more_than_chance_does() -> None:
    """The reward counts the wide convolutions."""
    ours = searched(made(depth=6, candidates=20), 40)[20:]
    by_chance = searched(made(depth=6, predict_after=1000, learning_rate=1e-9), 40)[20:]
    assert sum(map(convolutions, ours)) > 1.5 * sum(map(convolutions, by_chance))


def test_it_says_with_which_probability_the_policy_goes_on() -> None:
    searcher = made(depth=1, stage=100)
    searched(searcher, 5)
    beliefs, choice = searcher.explain("[C(8,3,1)]", Known(5, (), ()))
    assert {belief.move for belief in beliefs if belief.probability} == {"GAP(10)", "SM(10)"}
    assert "end after 1 layers" in choice
