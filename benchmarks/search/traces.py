"""What searches found, kept in a file of JSON lines.

So a benchmark that was cut off goes on, and a page can be made anew.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

TOP = 10


class Task(NamedTuple):
    """One search."""

    landscape: str
    contestant: str
    budget: int
    seed: int
    parallel: int
    source: str
    """Which code decides its course."""


@dataclass(frozen=True)
class Trace:
    """What remains of one search: its trainings, in the order of their results."""

    task: Task
    seconds: float
    """Processor time of the whole search."""
    rewards: list[float]
    truths: list[float]
    designs: list[str]
    """Equal designs were trained more than once."""
    steps: list[int]
    """The number of the proposal that each came from."""

    def best(self, budget: int) -> float:
        """The true value of the design that seems best after so many trainings: what the search would hand over."""
        return self._seeming_best(budget)[0]

    def top(self, budget: int) -> float:
        """The mean true value of the ten designs that seem best."""
        return fmean(self._seeming_best(budget)[:TOP])

    def measured(self, budget: int) -> float:
        """The highest reward."""
        return max(self.rewards[:budget])

    def curve(self, budget: int) -> list[float]:
        """`best` after each training. A search that found no more designs stays where it was."""
        found: list[float] = []
        rewards: dict[str, list[float]] = {}
        again: dict[str, float] = {}
        highest, best = float("-inf"), 0.0
        for design, reward, truth in zip(self.designs[:budget], self.rewards, self.truths, strict=False):
            rewards.setdefault(design, []).append(reward)
            if len(rewards[design]) > 1:
                again[design] = fmean(rewards[design])
                best = self.truths[self.designs.index(max(again, key=lambda one: again[one]))]
            elif not again and reward > highest:
                highest, best = reward, truth
            found.append(best)
        return found + found[-1:] * (budget - len(found))

    def area(self, budget: int) -> float:
        """The mean of the curve."""
        return fmean(self.curve(budget))

    def _seeming_best(self, budget: int) -> list[float]:
        """True values of the designs in the order in which a run ranks them: first those that were trained again, by
        the mean of their rewards, then the others by their rewards; among equals, the first.
        """
        rewards: dict[str, list[float]] = {}
        for design, reward in zip(self.designs[:budget], self.rewards, strict=False):
            rewards.setdefault(design, []).append(reward)
        truths = dict(zip(self.designs, self.truths, strict=True))
        ranked = sorted(rewards, key=lambda design: (len(rewards[design]) == 1, -fmean(rewards[design])))
        return [truths[design] for design in ranked]


class Traces:
    """The file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._found: dict[tuple[object, ...], Trace] = {}
        if file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                self._keep(_read(line))

    def add(self, trace: Trace) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(trace) | {"task": trace.task._asdict()}) + "\n")
        self._keep(trace)

    def find(self, task: Task, *, by_budget: bool) -> Trace | None:
        """The trace of a task; where the course does not depend on the budget, of a larger one, too."""
        found = self._found.get(_key(task, by_budget=by_budget))
        return found if found is not None and found.task.budget >= task.budget else None

    def _keep(self, trace: Trace) -> None:
        self._found[_key(trace.task, by_budget=True)] = trace
        longest = self._found.get(_key(trace.task, by_budget=False))
        if longest is None or longest.task.budget <= trace.task.budget:
            self._found[_key(trace.task, by_budget=False)] = trace


def _key(task: Task, *, by_budget: bool) -> tuple[object, ...]:
    return tuple(task) if by_budget else tuple(task._replace(budget=0))


def _read(line: str) -> Trace:
    content = json.loads(line)
    return Trace(**content | {"task": Task(**content["task"])})
