"""Local search: the neighbours of the best design are trained one after the other (White et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from metaqnn_orch.search.sampling import new_design, sample
from metaqnn_orch.search.searcher import Experience, Known, Proposal, Searcher, Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSearchOptions:
    """Local search (White et al. 2021)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}
    random_first: int = 10
    """How many designs are drawn at random first."""

    def __post_init__(self) -> None:
        if not 1 <= self.random_first <= 100_000:
            raise ValueError(f"random_first lies between 1 and 100000, got {self.random_first}")


class LocalSearch(Searcher):
    """All neighbours of the best design are tried, in random order; then those of the second best, and so on. As soon
    as one is better, its neighbours are next. A net that was stopped early is no centre: its reward is only predicted.
    """

    Options = LocalSearchOptions
    summary = "local search: tries each neighbour of the best design; simple, and strong in small spaces"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._told: dict[str, Experience] = {}
        self._neighbours = lru_cache(maxsize=64)(self._shuffled)

    def propose(self, step: int, known: Known) -> Proposal:
        if len(self._told) + len(known.in_flight) >= self.options.random_first:
            trained = [one for one in self._told.values() if one.trained]
            for centre in sorted(trained, key=lambda one: -one.reward):
                for design in self._neighbours(centre.design):
                    if design not in known.designs:
                        return Proposal(design)
        return Proposal(new_design(self.space, known.designs, self.randomness("propose", step)))

    def tell(self, experience: Experience) -> None:
        self._told.setdefault(experience.design, experience)

    def _shuffled(self, design: str) -> list[str]:
        found = [*self.space.neighbours(design)]
        return sample(found, len(found), self.randomness(f"neighbours of {design}", 0))


PLUGIN = LocalSearch
