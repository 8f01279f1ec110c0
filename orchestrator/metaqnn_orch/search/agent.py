"""The paper's agent: proposes a design move by move, learns from its reward (section 4 and Algorithm 1)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from metaqnn_orch.search.q_table import QTable, Transition
from metaqnn_orch.search.replay import ReplayMemory
from metaqnn_trainer.spaces.base import Space


class Agent:
    """Proposes designs, and learns from their rewards. It holds no randomness: each call brings its own generator."""

    def __init__(self, space: Space, q_table: QTable, *, replay_draws: int = 100) -> None:
        self.space = space
        self.q_table = q_table
        self.replay = ReplayMemory()
        self._replay_draws = replay_draws
        self._transitions: dict[str, tuple[Transition, ...]] = {}

    def propose(self, epsilon: float, rng: Random) -> str:
        """A design. Each move is any legal one with probability `epsilon`, and else one of the best; ties are broken
        uniformly.
        """
        moves: list[Any] = []
        state: Any | None = self.space.start
        while state is not None:
            choices = self.space.legal(state) if rng.random() < epsilon else self.best(state)
            # Only rng.random() is used: Python keeps its sequence from version to version, but not that of choice().
            move = choices[int(rng.random() * len(choices))]
            moves.append(move)
            state = self.space.step(state, move)
        return self.space.text(moves)

    def best(self, state: Any) -> Sequence[Any]:
        """The legal moves of the highest value: one, or several that are tied."""
        moves = self.space.legal(state)
        values = self.q_table.values(self.space.key(state), moves)
        highest = max(values)
        return tuple(move for move, value in zip(moves, values, strict=False) if value == highest)

    def learn(self, design: str, reward: float, rng: Random) -> None:
        """Remember one presentation of a design, then update from draws of the replay memory.

        Raises:
            IllegalDesign: the design is not of this space.
        """
        self.transitions(design)
        self.replay.remember(design, reward)
        self.replay_once(rng)

    def replay_once(self, rng: Random) -> None:
        """Update from draws of the replay memory."""
        for drawn, drawn_reward in self.replay.draw(self._replay_draws, rng):
            self.q_table.update(self.transitions(drawn), drawn_reward)

    def transitions(self, design: str) -> tuple[Transition, ...]:
        """The decisions that lead to a design, with their places in the Q-table."""
        known = self._transitions.get(design)
        if known is None:
            space, table = self.space, self.q_table
            decisions = [(space.key(state), space.legal(state), move) for state, move in space.walk(design)]
            select = [table.select(key, legal) for key, legal, _ in decisions]
            known = tuple(
                Transition(table.place(key, move), following)
                for (key, _, move), following in zip(decisions, [*select[1:], None], strict=True)
            )
            self._transitions[design] = known
        return known
