"""Spends a budget on a landscape as a run does: the same Setup, Known and order of proposals and results.

The rules are those of control/proposer.py and control/state.py: a design that is proposed again is not trained again,
but told again; one in training is told as often as it was proposed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from metaqnn_orch.control.proposer import FRUITLESS_PROPOSALS, REPEATS_IN_FLIGHT
from metaqnn_orch.search.schedule import PAPER, scaled
from metaqnn_orch.search.searcher import SEARCHERS, Confirm, Experience, Known, Proposal, Searcher, Setup
from metaqnn_trainer.spaces.base import Space

Reward = Callable[[str, int], float]
"""Gives the reward of one training: of a design, and of the number of the training, counted from 0."""


@dataclass
class Trained:
    """The trainings of one search, in the order in which their results came in."""

    designs: list[str]
    rewards: list[float]
    steps: list[int]
    """The number of the proposal that each came from, counted from 0."""


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
    step: int
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
        self._found = Trained([], [], [])

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
            known = self._trials.get(_identity(proposal))
            if known is None:
                self._begin(proposal)
                self._step += 1
                fruitless = 0
                continue
            self._step += 1
            known.samplings += 1
            if known.reward is not None:
                self._searcher.tell(Experience(known.design, known.reward))
            fruitless += 1
            repeats += known.reward is None
            if fruitless >= FRUITLESS_PROPOSALS or repeats >= patience:
                return

    def _begin(self, proposal: Proposal) -> None:
        design = proposal.design
        trial = _Trial(design, self._trainings.get(design, 0), self._step)
        self._trainings[design] = trial.training + 1
        self._trials[_identity(proposal)] = trial
        self._in_flight.append(trial)

    def _tell(self) -> None:
        trial = self._in_flight.pop(0)
        trial.reward = self._reward(trial.design, trial.training)
        self._found.designs.append(trial.design)
        self._found.rewards.append(trial.reward)
        self._found.steps.append(trial.step)
        for _ in range(trial.samplings):
            self._searcher.tell(Experience(trial.design, trial.reward))


def confirmed(searcher: Searcher, found: Trained, reward: Reward, budget: int, confirm: Confirm) -> Trained:
    """The search whose last trainings repeat its best designs: each once, before any twice.

    `searcher`: a new one. `found`: the same search without confirmation, of that budget or more.
    """
    count = max(1, budget - confirm.top * confirm.repeats)
    trained = Trained(found.designs[:count], found.rewards[:count], found.steps[:count])
    best: dict[str, float] = {}
    for design, value in zip(trained.designs, trained.rewards, strict=True):
        searcher.tell(Experience(design, value))
        best.setdefault(design, value)
    ranked = sorted(best.items(), key=lambda pair: -pair[1])
    shortlist = [*searcher.shortlist(ranked, confirm.top)]
    for training in range(1, 1 + confirm.repeats):
        trained.designs += shortlist
        trained.rewards += [reward(design, training) for design in shortlist]
        trained.steps += [found.steps[count - 1]] * len(shortlist)
    return trained


def rebuilt(searcher: Searcher, found: Trained, told: int, count: int) -> int:
    """How many of the proposals after so many results are those of the search, although the searcher is a new one,
    which was told the results before them at once.

    `found`: a search with one design in training at a time, by a method that learns nothing from being told again.
    """
    past = [*zip(found.designs, found.rewards, found.steps, strict=True)]
    for design, value, _ in past[:told]:
        searcher.tell(Experience(design, value))
    equal = 0
    for number, (design, value, step) in enumerate(past[told : told + count], told):
        proposal = searcher.propose(step, Known(number, (), dict.fromkeys(found.designs[:number]).keys()))
        equal += proposal is not None and proposal.design == design
        searcher.tell(Experience(design, value))
    return equal


def _identity(proposal: Proposal) -> tuple[str, tuple[tuple[str, Any], ...], str | None]:
    """What makes a trial another one."""
    return proposal.design, tuple(sorted(proposal.recipe.items())), proposal.initial
