"""Q-learning as in the paper (section 4, Table 2): epsilon-greedy walks, experience replay, a falling epsilon."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from metaqnn_orch.search.agent import Agent
from metaqnn_orch.search.q_table import QTable
from metaqnn_orch.search.schedule import epsilon_at
from metaqnn_orch.search.searcher import Belief, Beliefs, Experience, Known, Proposal, Searcher, Setup
from metaqnn_trainer.contract.bounds import Probability

_STRICT: dict[str, Any] = {"extra": "forbid", "strict": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class QLearningOptions:
    """Q-learning (paper, section 4)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    q_initial: float = 0.5
    """Q-value of a move that was never updated."""
    learning_rate: float = 0.01
    """Weight of a new reward in a Q-value (the paper's alpha)."""
    discount: Probability = 1.0
    """Weight of the best following Q-value (the paper's gamma)."""
    replay_draws: int = 100
    """How many draws from the replay memory the agent learns from after each new result. 100 in the paper, 128 in the
    authors' code."""

    def __post_init__(self) -> None:
        for name, holds, rule in (
            ("q_initial", -1e6 <= self.q_initial <= 1e6, "lies between -1e6 and 1e6"),
            ("learning_rate", 0 < self.learning_rate <= 1, "is above 0 and at most 1"),
            ("replay_draws", 1 <= self.replay_draws <= 100_000, "lies between 1 and 100000"),
        ):
            if not holds:
                raise ValueError(f"{name} {rule}, got {getattr(self, name)}")


class QLearning(Searcher):
    """The paper's agent and its schedule, as a searcher."""

    Options = QLearningOptions
    section = "agent"
    summary = "Q-learning: the paper's, with a falling epsilon; shows which layers are worth what, and where"
    value_words = "q value"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        q: QLearningOptions = setup.options
        table = QTable(initial=q.q_initial, learning_rate=q.learning_rate, discount=q.discount)
        self.agent = Agent(setup.space, table, replay_draws=q.replay_draws)
        self._phases = setup.phases
        self._told = 0

    def epsilon(self, known: Known) -> float:
        """Epsilon for the next design. Designs in flight count, too, so that each phase trains its number of
        designs.
        """
        return epsilon_at(self._phases, known.told + len(known.in_flight))

    def propose(self, step: int, known: Known) -> Proposal:
        return Proposal(self.agent.propose(self.epsilon(known), self.randomness("propose", step)))

    def tell(self, experience: Experience) -> None:
        self.agent.learn(experience.design, experience.reward, self.randomness("replay", self._told))
        self._told += 1

    def recall(self, rows: Sequence[tuple[str, float]], weight: float) -> None:
        """The rows join the replay memory, and are replayed once for each of them."""
        self.agent.replay.recall(rows, weight)
        for count in range(len(rows)):
            self.agent.replay_once(self.randomness("recall", count))

    def explain(self, beginning: str, known: Known) -> Beliefs:
        agent, epsilon = self.agent, self.epsilon(known)
        here = self.space.after(beginning)
        if here is None:
            return Beliefs([], "nothing is left to choose: the design is complete")
        key, legal, best = self.space.key(here), self.space.legal(here), agent.best(here)
        prefix = self.space.beginning(beginning)
        beliefs = [
            Belief(
                move=str(move),
                value=value,
                updates=agent.q_table.updates(key, move),
                probability=epsilon / len(legal) + (1 - epsilon) * (move in best) / len(best),
                is_best=move in best,
                completion=self._completion([*prefix, move], here),
            )
            for move, value in zip(legal, agent.q_table.values(key, legal), strict=False)
        ]
        beliefs.sort(key=lambda belief: -(belief.value or 0.0))
        return Beliefs(beliefs, _choice(beliefs, epsilon, self.space.noun))

    def _completion(self, moves: list[Any], before: Any) -> str:
        """The design that the best moves make from here on; among tied moves, the first."""
        state = self.space.step(before, moves[-1])
        while state is not None:
            moves.append(self.agent.best(state)[0])
            state = self.space.step(state, moves[-1])
        return self.space.text(moves)

    def snapshot(self) -> Any:
        return self.agent.q_table.rows()

    def restore(
        self, snapshot: Any, recalled: Sequence[tuple[str, float]], weight: float, told: Iterable[Experience]
    ) -> None:
        agent = self.agent
        agent.q_table.restore(snapshot)
        if recalled:
            agent.replay.recall(recalled, weight)
        for design, reward, *_ in told:
            agent.replay.remember(design, reward)
            self._told += 1
        for design in dict.fromkeys(design for design, _ in (*recalled, *agent.replay)):
            agent.transitions(design)  # every updated value belongs to one of these places
        if agent.q_table.unclaimed:
            raise ValueError(f"{agent.q_table.unclaimed} Q-values belong to no design that was told")


def _choice(beliefs: Sequence[Belief], epsilon: float, noun: str) -> str:
    best = [belief.move for belief in beliefs if belief.is_best]
    explore = f"with probability {epsilon:.2f} it explores: one of the {len(beliefs)} {noun}s, all equally likely"
    tied = f"one of the {len(best)} {noun}s that are tied at" if len(best) > 1 else f"{best[0]}, the best at"
    exploit = f"with probability {1 - epsilon:.2f} it takes {tied} Q = {beliefs[0].value or 0.0:.4f}"
    return f"{explore}; {exploit}"


PLUGIN = QLearning
