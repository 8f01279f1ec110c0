"""Spends a budget on a landscape as a run does: the same Setup, Known and order of proposals and results.

The rules are those of control/loop.py and control/state.py: a design that is proposed again is not trained again, but
told again; one in training is told as often as it was proposed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from metaqnn_orch.control.loop import FRUITLESS_PROPOSALS, REPEATS_IN_FLIGHT
from metaqnn_orch.search.schedule import PAPER, scaled
from metaqnn_orch.search.searcher import SEARCHERS, Experience, Known, Proposal, Searcher, Setup
from metaqnn_trainer.spaces.base import Space

Reward = Callable[[str, int], float]
"""Of a design and the number of its training, counted from 0."""


@dataclass
class Trained:
    """The trainings of one search, in the order in which their results came in."""

    designs: list[str]
    rewards: list[float]


def searcher_of(method: str, options: dict[str, Any], space: Space, budget: int, seed: int) -> Searcher:
    """The searcher of a method, as the settings make it: with the paper's schedule, scaled to the budget."""
    kind = SEARCHERS.load(method)
    setup = Setup(
        space,
        kind.Options(**options),
        lambda purpose, count: Random(f"{seed}/{purpose}/{count}"),
        scaled(PAPER, budget),
    )
    searcher: Searcher = kind(setup)
    return searcher


@dataclass
class _Trial:
    design: str
    training: int
    reward: float | None = None
    samplings: int = 1


class Run:
    """One search."""

    def __init__(self, searcher: Searcher, reward: Reward, budget: int, parallel: int = 1) -> None:
        """`parallel`: how many designs are in training at once. Their results come in in the order of the proposals."""
        self._searcher = searcher
        self._reward = reward
        self._budget = budget
        self._parallel = parallel
        self._trials: dict[Any, _Trial] = {}
        self._in_flight: list[_Trial] = []
        self._trainings: dict[str, int] = {}
        self._step = 0
        self._found = Trained([], [])

    def __call__(self) -> Trained:
        """The trainings. There are fewer than the budget where the searcher finds no new designs any more."""
        while True:
            self._propose()
            if not self._in_flight:
                return self._found
            self._tell()

    @property
    def known(self) -> Known:
        flying = dict.fromkeys(trial.design for trial in self._in_flight)
        return Known(len(self._found.rewards), flying.keys(), self._trainings.keys())

    def _propose(self) -> None:
        fruitless = repeats = 0
        patience = max(REPEATS_IN_FLIGHT, self._parallel - len(self._in_flight))
        while len(self._in_flight) < self._parallel and len(self._trials) < self._budget:
            proposal = self._searcher.propose(self._step, self.known)
            if proposal is None:
                return
            self._step += 1
            known = self._trials.get(_identity(proposal))
            if known is None:
                self._begin(proposal)
                fruitless = 0
                continue
            known.samplings += 1
            if known.reward is not None:
                self._searcher.tell(Experience(known.design, known.reward))
            fruitless += 1
            repeats += known.reward is None
            if fruitless >= FRUITLESS_PROPOSALS or repeats >= patience:
                return

    def _begin(self, proposal: Proposal) -> None:
        design = proposal.design
        trial = _Trial(design, self._trainings.get(design, 0))
        self._trainings[design] = trial.training + 1
        self._trials[_identity(proposal)] = trial
        self._in_flight.append(trial)

    def _tell(self) -> None:
        trial = self._in_flight.pop(0)
        trial.reward = self._reward(trial.design, trial.training)
        self._found.designs.append(trial.design)
        self._found.rewards.append(trial.reward)
        for _ in range(trial.samplings):
            self._searcher.tell(Experience(trial.design, trial.reward))


def _identity(proposal: Proposal) -> tuple[str, tuple[tuple[str, Any], ...], str | None]:
    """What makes a trial another one."""
    return proposal.design, tuple(sorted(proposal.recipe.items())), proposal.initial
