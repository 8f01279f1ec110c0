"""The agent: proposes a net, learns from its reward (paper, section 4 and Algorithm 1)."""

from __future__ import annotations

from random import Random

from metaqnn_orch.search.q_table import QTable, Transition
from metaqnn_orch.search.replay import ReplayMemory
from metaqnn_trainer.spaces.cnn.layer import Layer
from metaqnn_trainer.spaces.cnn.space import Cnn, State


class Agent:
    """Ask it for a net, tell it the reward. It holds no randomness: each call brings its own generator."""

    def __init__(self, space: Cnn, q_table: QTable, *, replay_draws: int = 100) -> None:
        self.space = space
        self.q_table = q_table
        self.replay = ReplayMemory()
        self._replay_draws = replay_draws
        self._transitions: dict[str, tuple[Transition, ...]] = {}

    def propose(self, epsilon: float, rng: Random) -> str:
        """A net, layer by layer: with probability `epsilon` any legal layer, else one of the best, ties uniform."""
        decisions: list[Layer] = []
        state: State | None = self.space.start
        while state is not None:
            layers = self.space.legal(state)
            choices = layers if rng.random() < epsilon else self.best(state)
            # rng.random() alone: Python keeps its sequence from version to version, not that of choice().
            layer = choices[int(rng.random() * len(choices))]
            decisions.append(layer)
            state = self.space.step(state, layer)
        return self.space.text(decisions)

    def best(self, state: State) -> tuple[Layer, ...]:
        """The legal layers of the highest value: one, or several that are tied."""
        layers = self.space.legal(state)
        values = self.q_table.values(state.key, layers)
        highest = max(values)
        return tuple(layer for layer, value in zip(layers, values, strict=False) if value == highest)

    def learn(self, net: str, reward: float, rng: Random) -> None:
        """Remember one presentation of a net, then update from draws of the replay memory.

        Raises:
            IllegalDesign: the net is not of this space.
        """
        self.transitions(net)
        self.replay.remember(net, reward)
        self.rehearse(rng)

    def rehearse(self, rng: Random) -> None:
        """Update from draws of the replay memory."""
        for drawn, drawn_reward in self.replay.draw(self._replay_draws, rng):
            self.q_table.update(self.transitions(drawn), drawn_reward)

    def transitions(self, net: str) -> tuple[Transition, ...]:
        """The decisions that lead to a net, resolved to places in the Q-table."""
        known = self._transitions.get(net)
        if known is None:
            decisions = self.space.walk(net)
            select = [self.q_table.select(state.key, self.space.legal(state)) for state, _ in decisions]
            known = tuple(
                Transition(self.q_table.place(state.key, layer), following)
                for (state, layer), following in zip(decisions, [*select[1:], None], strict=True)
            )
            self._transitions[net] = known
        return known
