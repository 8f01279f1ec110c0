"""Random search: each legal move is as likely as the others. It is the baseline that every other searcher has to
beat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from metaqnn_orch.search.sampling import random_design
from metaqnn_orch.search.searcher import Belief, Beliefs, Experience, Known, Proposal, Searcher


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomOptions:
    """Random search has no options."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}


class RandomSearch(Searcher):
    """Chooses uniformly among the legal moves of each state."""

    Options = RandomOptions
    summary = "random search: learns nothing, and is what any other method has to beat"

    def propose(self, step: int, known: Known) -> Proposal:
        return Proposal(random_design(self.space, self.randomness("propose", step)))

    def tell(self, experience: Experience) -> None:
        """Ignore the result: random search learns nothing."""

    def epsilon(self, known: Known) -> float:
        return 1.0

    def explain(self, beginning: str, known: Known) -> Beliefs:
        beliefs, choice = super().explain(beginning, known)
        return Beliefs([Belief(belief.move, probability=1 / len(beliefs)) for belief in beliefs], choice)


PLUGIN = RandomSearch
