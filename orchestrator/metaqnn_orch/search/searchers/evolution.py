"""Regularised evolution (Real et al. 2019): the best of a random tournament is mutated, and the oldest dies."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from metaqnn_orch.search.front import FrontOptions, FrontSearcher, Ranking, draw_weights, worth
from metaqnn_orch.search.sampling import TRIES, new_design, sample
from metaqnn_orch.search.searcher import Known, Proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolutionOptions(FrontOptions):
    """Regularised evolution (Real et al. 2019)."""

    population: int = 25
    """How many of the latest designs can be parents. As many designs are drawn at random first."""
    tournament: int = 5
    """How many of the population are drawn for each proposal; the best of them is mutated."""

    def __post_init__(self) -> None:
        FrontOptions.__post_init__(self)  # super() does not know a class with slots
        if not 1 <= self.population <= 100_000:
            raise ValueError(f"population lies between 1 and 100000, got {self.population}")
        if not 1 <= self.tournament <= self.population:
            raise ValueError(f"tournament lies between 1 and the population, {self.population}, got {self.tournament}")


class Evolution(FrontSearcher):
    """The population is the latest designs that were trained to the end: where training was stopped early, the reward
    is only predicted.
    """

    Options = EvolutionOptions
    summary = "regularised evolution: mutates good designs; simple, and strong when there are hundreds of trials"

    def propose(self, step: int, known: Known) -> Proposal:
        """A mutation that is new, if one is found."""
        rng, options = self.randomness("propose", step), self.options
        latest = (one for one in reversed(self._told.values()) if one.trained)
        population = [*islice(latest, options.population)]
        if not population or len(self._told) + len(known.in_flight) < options.population:
            return Proposal(new_design(self.space, known.designs, rng))
        ranking = Ranking(population, options.front)
        weights = draw_weights(options.front, rng)
        drawn = sample(population, options.tournament, rng)
        parent = max(drawn, key=lambda one: worth(ranking.scores(one), weights))
        for _ in range(TRIES):
            design = self.space.mutated(parent.design, rng)
            if design not in known.designs:
                return Proposal(design)
        return Proposal(new_design(self.space, known.designs, rng))


PLUGIN = Evolution
