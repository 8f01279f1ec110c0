"""Regularised evolution (Real et al. 2019): the best of a random tournament is mutated, and the oldest dies."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar, Literal

from metaqnn_orch.search.front import Ranking, check_goals, draw_weights, with_known, worth
from metaqnn_orch.search.sampling import TRIES, new_design, sample
from metaqnn_orch.search.searcher import Experience, Goals, Known, Proposal, Searcher, Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolutionOptions:
    """Regularised evolution (Real et al. 2019)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}
    population: int = 25
    """How many of the latest designs can be parents. As many designs are drawn at random first."""
    tournament: int = 5
    """How many of the population are drawn for each proposal; the best of them is mutated."""
    front: dict[str, Literal["min", "max"]] = field(default_factory=dict)
    """Measures beside the reward, one or two, that should be small (`min`) or large (`max`): `{params: min}`. The
    search then walks along the front of all of them."""

    def __post_init__(self) -> None:
        check_goals(self.front)
        if not 1 <= self.population <= 100_000:
            raise ValueError(f"population lies between 1 and 100000, got {self.population}")
        if not 1 <= self.tournament <= self.population:
            raise ValueError(f"tournament lies between 1 and the population, {self.population}, got {self.tournament}")


class Evolution(Searcher):
    """The population is the latest designs whose rewards are known."""

    Options = EvolutionOptions
    summary = "regularised evolution: mutates good designs; simple, and strong when there are hundreds of trials"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._told: dict[str, Experience] = {}

    @property
    def goals(self) -> Goals:
        front: Goals = self.options.front
        return front

    def propose(self, step: int, known: Known) -> Proposal:
        """A mutation that is new, if one is found."""
        rng, options = self.randomness("propose", step), self.options
        if not self._told or len(self._told) + len(known.in_flight) < options.population:
            return Proposal(new_design(self.space, known.designs, rng))
        population = [*islice(reversed(self._told.values()), options.population)]
        ranking = Ranking(population, options.front)
        weights = draw_weights(options.front, rng)
        drawn = sample(population, options.tournament, rng)
        parent = max(drawn, key=lambda one: worth(ranking.scores(one), weights))
        for _ in range(TRIES):
            design = self.space.mutated(parent.design, rng)
            if design not in known.designs:
                return Proposal(design)
        return Proposal(new_design(self.space, known.designs, rng))

    def tell(self, experience: Experience) -> None:
        self._told.setdefault(experience.design, with_known(self.space, experience, self.options.front))


PLUGIN = Evolution
