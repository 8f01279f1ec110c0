"""Replay memory: every presentation of a net with its reward (paper, section 4; Lin 1993)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random


class ReplayMemory:
    """Presentations to draw from. A net presented twice has two rows and is drawn twice as often: draws are uniform
    over rows (authors' code).
    """

    def __init__(self) -> None:
        self._rows: list[tuple[str, float]] = []
        self._rewards: dict[str, float] = {}
        self._prior: Sequence[tuple[str, float]] = ()
        self._weight = 1.0

    def recall(self, rows: Sequence[tuple[str, float]], weight: float) -> None:
        """Draw also from the rows of another memory: each of them `weight` times as often as one of this memory's."""
        self._prior, self._weight = rows, weight

    def remember(self, net: str, reward: float) -> None:
        self._rows.append((net, reward))
        self._rewards[net] = reward

    def reward(self, net: str) -> float | None:
        """The reward of a known net."""
        return self._rewards.get(net)

    def draw(self, count: int, rng: Random) -> Iterator[tuple[str, float]]:
        """`count` rows, uniformly, with replacement. Uses rng.random() alone, whose sequence Python never changes."""
        rows, size = self._rows, len(self._rows)
        prior, weight = self._prior, self._weight
        mass = size + weight * len(prior)
        for _ in range(count):
            place = rng.random() * mass
            if place < size:
                yield rows[int(place)]
            else:
                yield prior[min(int((place - size) / weight), len(prior) - 1)]

    def __iter__(self) -> Iterator[tuple[str, float]]:
        """Every row, in the order of its presentation."""
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def unique(self) -> int:
        return len(self._rewards)
