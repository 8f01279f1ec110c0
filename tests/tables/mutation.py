"""(1+N) evolution: each child differs from the best design by one choice, and begins with its weights."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from metaqnn_orch.search.sampling import random_design
from metaqnn_orch.search.searcher import Experience, Known, Proposal, Searcher, Setup


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    children: int = Field(4, ge=1)
    """Children that one parent has, until the best of all is the next parent. The first ones are random."""
    learning_rate: float = Field(1e-2, gt=0)
    """With which children are trained."""


class Mutation(Searcher):
    """Each generation has one parent: the best that was told when it began."""

    Options: ClassVar[type[Options]] = Options
    summary = "(1+N) evolution: children of the best design begin with its weights"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._best: Experience | None = None
        self._parent: str | None = None
        self._told = 0

    def propose(self, step: int, known: Known) -> Proposal:
        rng = self.randomness("propose", step)
        near = self.space.neighbours(self._parent) if self._parent is not None else ()
        children = [child for child in near if child not in known.designs]
        if not children:
            return Proposal(random_design(self.space, rng))
        child = children[int(rng.random() * len(children))]
        return Proposal(child, {"learning_rate": self.options.learning_rate}, initial=self._parent)

    def tell(self, experience: Experience) -> None:
        if self._best is None or experience.reward > self._best.reward:
            self._best = experience
        self._told += 1
        if self._told % self.options.children == 0:
            self._parent = self._best.design


PLUGIN = Mutation
