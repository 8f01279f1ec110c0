"""A policy without a network: each move has a score, a sum of weights, and is drawn with the softmax of the scores.

A weight belongs to a move and to one thing that is seen where the move is made: the key of the state, the move before,
or how many moves there were. What is learned by the last two serves where no design has been yet, such as greater
depths. Only sums, products and `exp` of the standard library are used, always in the same order.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import exp
from random import Random
from typing import Any

from metaqnn_trainer.spaces.base import Space

Weight = tuple[str, Hashable, str]
"""The kind of what is seen, what is seen, and the move."""


class Policy:
    """Draws designs, and learns by REINFORCE (Williams 1992)."""

    def __init__(self, space: Space, rate: float, floor: float) -> None:
        """`floor`: the share of the probability that all moves always have in equal parts."""
        self.space = space
        self.weights: dict[Weight, float] = {}
        self._rate = rate
        self._floor = floor
        self._shares: dict[Any, dict[Any, float]] = {}  # until it learns

    def shares(self, state: Any, before: Sequence[Any], depth: int) -> dict[Any, float]:
        """The probability of each move after others. At the depth limit only moves that complete the design have one,
        if there are any.
        """
        last = str(before[-1]) if before else ""
        seen = state, last, len(before), len(before) < depth
        if seen not in self._shares:
            moves = self.space.legal(state)
            if len(before) >= depth:
                moves = [move for move in moves if self.space.step(state, move) is None] or moves
            scores = [sum(self.weights.get(at, 0.0) for at in self._at(state, last, before, move)) for move in moves]
            odds = [exp(score - max(scores)) for score in scores]
            scale, even = (1 - self._floor) / sum(odds), self._floor / len(moves)
            self._shares[seen] = {move: even + scale * each for move, each in zip(moves, odds, strict=True)}
        return self._shares[seen]

    def draw(self, rng: Random, depth: int) -> str:
        """A design that ends after `depth` moves, or as soon after them as it can."""
        moves: list[Any] = []
        state: Any | None = self.space.start
        while state is not None:
            left = rng.random()
            for chosen, share in self.shares(state, moves, depth).items():
                move, left = chosen, left - share
                if left < 0:
                    break
            state = self.space.step(state, move)
            moves.append(move)
        return self.space.text(moves)

    def learn(self, design: str, advantage: float, depth: int) -> None:
        """One step along the gradient of the logarithm of the design's probability, times the advantage."""
        steps: dict[Weight, float] = {}
        before: list[Any] = []
        for state, chosen in self.space.walk(design):
            shares, last = self.shares(state, before, depth), str(before[-1]) if before else ""
            if chosen in shares and len(shares) > 1:
                for move, share in shares.items():
                    for at in self._at(state, last, before, move):
                        steps[at] = steps.get(at, 0.0) + self._rate * advantage * ((move == chosen) - share)
            before.append(chosen)
        for at, step in steps.items():
            self.weights[at] = self.weights.get(at, 0.0) + step
        self._shares.clear()

    def _at(self, state: Any, last: str, before: Sequence[Any], move: Any) -> tuple[Weight, ...]:
        """The places of the weights of a move."""
        name = str(move)
        return ("state", self.space.key(state), name), ("after", last, name), ("place", len(before), name)
