"""(1 + 4) evolution from the feed-forward net: children of the best design begin with its trained weights."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from metaqnn_orch.search.sampling import TRIES, new_design
from metaqnn_orch.search.searcher import Experience, Known, Proposal, Searcher, Setup
from metaqnn_regression.space import Wired


class RewiringOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    children: int = Field(4, ge=1, le=1000, description="Children of each parent.")
    inherit: bool = Field(True, description="Whether children begin with the weights of their parent.")


class Rewiring(Searcher):
    """Each generation has one parent: the best design so far, and of equal ones the latest."""

    Options: ClassVar[type[RewiringOptions]] = RewiringOptions
    summary = "(1+4) evolution with inheritance: children of the best design go on with its weights"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._best: Experience | None = None
        self._parent: str | None = None
        self._first: str | None = None
        self._told = 0

    def propose(self, step: int, known: Known) -> Proposal:
        """The feed-forward net first, where the space has one. While it is trained, and wherever no new child is found,
        the design is a random one; where none is new, the first.
        """
        rng = self.randomness("propose", step)
        if isinstance(self.space, Wired) and self.space.feed_forward() not in known.designs:
            return Proposal(self.space.feed_forward())
        if self._parent is not None:
            for _ in range(TRIES):
                child = self.space.mutated(self._parent, rng)
                if child not in known.designs:
                    return Proposal(child, initial=self._parent if self.options.inherit else None)
        design = new_design(self.space, known.designs, rng)
        if design in known.designs and self._first is not None:
            design = self._first  # begun afresh, a child would be another trial
        return Proposal(design)

    def tell(self, experience: Experience) -> None:
        self._first = self._first or experience.design
        if self._best is None or experience.reward >= self._best.reward:
            self._best = experience
        if self._told % self.options.children == 0:
            self._parent = self._best.design
        self._told += 1
