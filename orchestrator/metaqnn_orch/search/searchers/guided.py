"""Guided search: a forest learns from all results which designs are promising, and the most promising is trained.

What makes it strong is the forest's choice among many candidates that are similar to the best designs, as in BANANAS
(White et al. 2021). In the place of its neural networks there are trees, whose arithmetic is exact.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import nlargest
from itertools import islice
from math import expm1
from random import Random
from typing import ClassVar, Final, NamedTuple

from metaqnn_orch.search.forest import VOTERS, Forest, fitted_to
from metaqnn_orch.search.front import REWARD, FrontOptions, FrontSearcher, Ranking, draw_weights, worth
from metaqnn_orch.search.sampling import completed, new_design, pick, random_design, sample
from metaqnn_orch.search.searcher import (
    Belief,
    Beliefs,
    Confirm,
    Finding,
    Known,
    Proposal,
    Setup,
)

COMPLETIONS: Final = 10  # random designs that show what a move may lead to
SHOWN: Final = 12  # features in a finding,
CURVES: Final = 3  # and the most important ones whose curves are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidedOptions(FrontOptions):
    """Guided search."""

    random_first: int = 20
    """How many designs are drawn at random before the forest chooses."""
    exploration: float = 0.1
    """Probability that a later design is drawn at random, too: what the forest does not know yet may be better."""
    candidates: int = 200
    """How many candidates the forest chooses from, for each proposal."""
    parents: int = 10
    """How many of the best designs are mutated to make candidates."""
    random_share: float = 0.15
    """Share of the candidates that are drawn at random."""

    def __post_init__(self) -> None:
        FrontOptions.__post_init__(self)  # super() does not know a class with slots
        for name, holds, rule in (
            ("random_first", 2 <= self.random_first <= 100_000, "lies between 2 and 100000"),
            ("exploration", 0 <= self.exploration < 1, "lies between 0 and 1, and is less than 1"),
            ("candidates", 1 <= self.candidates <= 10_000, "lies between 1 and 10000"),
            ("parents", 1 <= self.parents <= 10_000, "lies between 1 and 10000"),
            ("random_share", 0 <= self.random_share <= 1, "lies between 0 and 1"),
        ):
            if not holds:
                raise ValueError(f"{name} {rule}, got {getattr(self, name)}")


class Fitted(NamedTuple):
    """What was fitted to the first designs that were told."""

    told: int
    """How many they were."""
    ranking: Ranking
    forests: Mapping[str, Forest]
    """A forest for each goal that is not known before training."""


class Guided(FrontSearcher):
    """The forests are a cache: when they are fitted, and to what, follows from the results alone."""

    Options = GuidedOptions
    summary = "guided search: a forest learns which designs are promising; finds good nets with few trials"
    value_words = "expected reward"
    confirm: ClassVar[Confirm] = Confirm(top=5, repeats=2)

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._features: dict[str, Mapping[str, float]] = {}
        self._fitted: Fitted | None = None
        self._untried = lru_cache(maxsize=4096)(self.space.features)  # the same candidates come again and again

    def propose(self, step: int, known: Known) -> Proposal:
        rng, fitted = self.randomness("propose", step), self._fit()
        if fitted is None or rng.random() < self.options.exploration:
            return Proposal(new_design(self.space, known.designs, rng))
        weights = draw_weights(self.options.front, rng)
        candidates = self._candidates(known.designs, weights, rng)
        if not candidates:
            return Proposal(new_design(self.space, known.designs, rng))
        voters = sample(range(len(fitted.forests[REWARD])), VOTERS, rng)
        return Proposal(max(candidates, key=lambda design: worth(self._foreseen(fitted, design, voters), weights)))

    def explain(self, beginning: str, known: Known) -> Beliefs:
        """For each move the reward that the forest expects of the best design it knows, or finds, behind the move."""
        fitted, state = self._fit(), self.space.after(beginning)
        if state is None:
            return Beliefs([], "nothing is left to choose: the design is complete")
        if fitted is None:
            beliefs, _ = super().explain(beginning, known)
            return Beliefs(beliefs, f"designs are drawn at random until {self.options.random_first} results are known")
        begun = self.space.beginning(beginning)
        told = [(self.space.beginning(design), design) for design in self._told]
        beliefs = []
        for number, move in enumerate(self.space.legal(state)):
            moves, rng = [*begun, move], self.randomness("explain", number)
            tried = [design for others, design in told if others[: len(moves)] == moves]
            following = self.space.step(state, move)
            found = {completed(self.space, moves, following, rng): None for _ in range(COMPLETIONS)}
            expected, best = max((self._expected(fitted, design), design) for design in [*tried, *found])
            beliefs.append(Belief(str(move), expected, completion=best))
        beliefs.sort(key=lambda belief: -(belief.value or 0.0))
        highest = beliefs[0].value
        beliefs = [belief._replace(is_best=belief.value == highest) for belief in beliefs]
        choice = f"it takes the most promising of {self.options.candidates} designs, most of them similar to the best"
        return Beliefs(beliefs, choice)

    def findings(self) -> list[Finding]:
        fitted = self._fit()
        if fitted is None:
            return []
        forest = fitted.forests[REWARD]
        shares = dict(islice(forest.importance.items(), SHOWN))
        named = {name.removeprefix("log "): share for name, share in shares.items()}  # log NAME is log1p of NAME
        noun = self.space.noun
        at = f"At 1 stands the first {noun} of a design, at -1 the last, at -2 the one before it."
        found = [Finding("Features by importance", "share of the explained variance", named, "feature", at)]
        mean = "The mean of what the forest expects of the trained designs, if each had this value."
        rows = [self._features[design] for design in islice(self._told, fitted.told)]
        for name in dict.fromkeys(["length", *islice(shares, CURVES)]):
            if name in forest.names:
                of = name.removeprefix("log ")
                curve = {
                    f"{at if of == name else expm1(at):.6g}": fitted.ranking.reward(score)
                    for at, score in forest.dependence(name, rows).items()
                }
                found.append(Finding(f"Expected reward by {of}", "expected reward", curve, of, mean))
        return found

    def shortlist(self, ranked: Sequence[tuple[str, float]], count: int) -> Sequence[str]:
        """The designs with the highest means of two scores of the reward: the measured one, and the one that the forest
        predicts from all results. A net that is better than its likes suggest was probably lucky. Other goals have no
        say, since the winner is that of the highest reward.
        """
        if self._fit() is None:
            return super().shortlist(ranked, count)
        fitted = self._fitted_to(len(self._told), [REWARD])

        def promise(of: tuple[str, float]) -> float:
            design, reward = of
            return fitted.ranking.score(REWARD, reward) + self._score(fitted, design)

        return super().shortlist(sorted(ranked, key=promise, reverse=True), count)

    def _fit(self) -> Fitted | None:
        """The forests that choose next; None while there are too few results."""
        told = fitted_to(self.options.random_first, len(self._told))
        if told and (self._fitted is None or self._fitted.told != told):
            self._fitted = self._fitted_to(told, [REWARD, *self.options.front])
        return self._fitted

    def _fitted_to(self, told: int, goals: Collection[str]) -> Fitted:
        """The forests, for some of the goals, that the first results give."""
        experiences = [*islice(self._told.values(), told)]
        for one in experiences:
            self._features.setdefault(one.design, self.space.features(one.design))
        rows = [self._features[one.design] for one in experiences]
        ranking = Ranking(experiences, self.options.front)
        scores = [ranking.scores(one) for one in experiences]
        free = set(self.space.measures(experiences[0].design)) - {REWARD}
        return Fitted(
            told,
            ranking,
            {
                goal: Forest(rows, [each[goal] for each in scores], self.randomness(f"forest {goal}", told))
                for goal in goals
                if goal not in free
            },
        )

    def _candidates(self, known: Collection[str], weights: Mapping[str, float], rng: Random) -> dict[str, None]:
        """Mutations of the best designs, and random designs, that are not known."""
        options = self.options
        trained = [one for one in self._told.values() if one.trained] or [*self._told.values()]
        if options.front:
            ranking = Ranking(trained, options.front)
            parents = nlargest(options.parents, trained, key=lambda one: worth(ranking.scores(one), weights))
        else:  # the worth rises with the reward
            parents = nlargest(options.parents, trained, key=lambda one: one.reward)
        found: dict[str, None] = {}
        for _ in range(options.candidates):
            if rng.random() < options.random_share:
                design = random_design(self.space, rng)
            else:
                design = self.space.mutated(pick(parents, rng).design, rng)
                if rng.random() < 0.5:
                    design = self.space.mutated(design, rng)
            if design not in known:
                found[design] = None
        return found

    def _foreseen(self, fitted: Fitted, design: str, voters: Sequence[int]) -> dict[str, float]:
        """The scores of an untried design: the forests' predictions, and what the space knows before training."""
        features = self._features_of(design)
        found = {goal: forest.predict(features, voters) for goal, forest in fitted.forests.items()}
        if len(found) <= len(self.options.front):
            known = self.space.measures(design)
            found |= {goal: fitted.ranking.score(goal, known[goal]) for goal in {*self.options.front} - {*found}}
        return found

    def _expected(self, fitted: Fitted, design: str) -> float:
        """The reward that the forest expects."""
        return fitted.ranking.reward(self._score(fitted, design))

    def _score(self, fitted: Fitted, design: str) -> float:
        """The score of the reward that the whole forest predicts."""
        return fitted.forests[REWARD].predict(self._features_of(design))

    def _features_of(self, design: str) -> Mapping[str, float]:
        """The features of any design; those of told designs are kept."""
        return self._features.get(design) or self._untried(design)


PLUGIN = Guided
