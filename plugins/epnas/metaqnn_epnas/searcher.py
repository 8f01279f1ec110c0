"""EPNAS: a policy draws many designs, a predictor chooses among them, and from stage to stage they may be deeper."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from metaqnn_epnas.policy import Policy
from metaqnn_orch.search.forest import VOTERS, Forest, fitted_to
from metaqnn_orch.search.front import RankScale
from metaqnn_orch.search.sampling import TRIES, new_design, sample
from metaqnn_orch.search.searcher import Belief, Beliefs, Experience, Known, Proposal, Searcher, Setup


class EpnasOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    depth: int = Field(2, ge=1, le=1000, description="Moves after which designs end in the first stage.")
    growth: int = Field(1, ge=1, le=1000, description="Moves more in each stage than in the one before.")
    stage: int = Field(5, ge=1, le=100_000, description="Results of each stage.")
    learning_rate: float = Field(0.1, gt=0, le=10, description="Length of the policy's steps.")
    exploration: float = Field(0.1, ge=0, le=1, description="Share of the policy's probability that is even.")
    predict_after: int = Field(15, ge=4, le=100_000, description="Results before the predictor chooses.")
    candidates: int = Field(100, ge=1, le=10_000, description="Designs that the policy draws for each proposal.")


class Predictor(NamedTuple):
    """What was fitted to the first results."""

    told: int
    """How many they were."""
    forest: Forest


class Epnas(Searcher):
    """The policy learns from each result as it is told. The predictor is a cache: it follows from the results."""

    Options: ClassVar[type[EpnasOptions]] = EpnasOptions
    summary = "EPNAS: a policy grows deeper designs stage by stage, and a predictor chooses among them"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.policy = Policy(self.space, self.options.learning_rate, self.options.exploration)
        self._told: dict[str, float] = {}
        self._seen = lru_cache(maxsize=4096)(self.space.features)  # the same candidates come again and again
        self._predictor: Predictor | None = None

    @property
    def depth(self) -> int:
        """The depth limit of the present stage."""
        return int(self.options.depth + self.options.growth * (len(self._told) // self.options.stage))

    def propose(self, step: int, known: Known) -> Proposal:
        """The most promising of the policy's designs that are new; a random one where the policy draws none."""
        rng, forest = self.randomness("propose", step), self._forest()
        candidates: dict[str, None] = {}
        for _ in range(self.options.candidates if forest else TRIES):
            design = self.policy.draw(rng, self.depth)
            if design not in known.designs:
                candidates[design] = None
                if forest is None:
                    break
        if not candidates:
            return Proposal(new_design(self.space, known.designs, rng))
        if forest is None:
            return Proposal(next(iter(candidates)))
        voters = sample(range(len(forest)), VOTERS, rng)
        return Proposal(max(candidates, key=lambda design: forest.predict(self._seen(design), voters)))

    def tell(self, experience: Experience) -> None:
        """The advantage of a design is its rank among the results so far, on a scale whose mean is about 0. Nothing is
        learned from being told again.
        """
        if experience.design not in self._told:
            depth = self.depth
            self._told[experience.design] = experience.reward
            score = RankScale(self._told.values()).score(experience.reward)
            self.policy.learn(experience.design, score - 1, depth)

    def explain(self, beginning: str, known: Known) -> Beliefs:
        """The probability of each move under the policy of the present stage."""
        state, before = self.space.after(beginning), self.space.beginning(beginning)
        if state is None:
            return Beliefs([], "nothing is left to choose: the design is complete")
        shares = self.policy.shares(state, before, self.depth)
        beliefs = [Belief(str(move), probability=shares.get(move, 0.0)) for move in self.space.legal(state)]
        beliefs.sort(key=lambda belief: -(belief.probability or 0.0))
        beliefs[0] = beliefs[0]._replace(is_best=True)
        limit = f"designs end after {self.depth} {self.space.noun}s in this stage"
        return Beliefs(beliefs, f"{limit}; of {self.options.candidates} that the policy draws, a predictor takes one")

    def _forest(self) -> Forest | None:
        """The predictor of ranks; None while there are too few results. When it is fitted follows from their number."""
        told = fitted_to(self.options.predict_after, len(self._told))
        if not told:
            return None
        if self._predictor is None or self._predictor.told != told:
            rows = dict(islice(self._told.items(), told))
            scale = RankScale(rows.values())
            forest = Forest(
                [self._seen(design) for design in rows],
                [scale.score(reward) for reward in rows.values()],
                self.randomness("predictor", told),
            )
            self._predictor = Predictor(told, forest)
        return self._predictor.forest
