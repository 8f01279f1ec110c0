"""The Q-table: what is believed of each move in each state, and the update equation (paper, section 4, equation 3)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

Select = Callable[[Sequence[float]], tuple[float, ...]]  # all values of the table to those of one state's moves


class Transition(NamedTuple):
    """One decision, resolved to places in the table."""

    place: int
    next_values: (
        Select | None
    )  # the values of the next state's legal moves; None where the decision completed the design


class QValue(NamedTuple):
    """One row of the table, for people."""

    state: Any
    """The key of a state, as the space has it."""
    move: Any
    value: float
    updates: int


class QTable:
    """Values by state and move. Unvisited ones are `initial`."""

    def __init__(self, *, initial: float = 0.5, learning_rate: float = 0.01, discount: float = 1.0) -> None:
        self._initial = initial
        self._alpha = learning_rate
        self._gamma = discount
        self._places: dict[tuple[Hashable, Hashable], int] = {}
        self._values: list[float] = []
        self._updates: list[int] = []
        # Several for a state only where limits on a design's size leave it other moves. Looked through rather than
        # looked up: they are nearly always the very tuple that is asked for, and hashing a dozen moves takes longer.
        self._selects: dict[Hashable, list[tuple[Sequence[Any], Select]]] = {}
        self._restored: dict[tuple[str, str], tuple[float, int]] = {}  # until their places are asked for

    def values(self, state: Hashable, moves: Sequence[Any]) -> tuple[float, ...]:
        """What is believed of each of `moves` in `state`."""
        return self.select(state, moves)(self._values)

    def select(self, state: Hashable, moves: Sequence[Any]) -> Select:
        """A prepared look-up of those values."""
        known = self._selects.setdefault(state, [])
        for others, select in known:
            if others is moves or others == moves:
                return select
        places = [self.place(state, move) for move in moves]
        # itemgetter of one place returns a bare value; naming it twice keeps the answer a tuple.
        select = itemgetter(*(places if len(places) > 1 else places * 2))
        known.append((moves, select))
        return select

    def place(self, state: Hashable, move: Hashable) -> int:
        place = self._places.setdefault((state, move), len(self._values))
        if place == len(self._values):
            value, updates = self._restored.pop((str(state), str(move)), (self._initial, 0))
            self._values.append(value)
            self._updates.append(updates)
        return place

    def update(self, transitions: Sequence[Transition], reward: float) -> None:
        """One trajectory, last transition first, so that the reward reaches the first layer in one pass."""
        q, updates, alpha, gamma = self._values, self._updates, self._alpha, self._gamma
        for place, next_values in reversed(transitions):
            target = reward if next_values is None else gamma * max(next_values(q))
            q[place] = (1 - alpha) * q[place] + alpha * target
            updates[place] += 1

    def updates(self, state: Hashable, move: Hashable) -> int:
        """How often the value was updated."""
        place = self._places.get((state, move))
        return self._updates[place] if place is not None else 0

    def __iter__(self) -> Iterator[QValue]:
        """Every value that was ever updated."""
        for (state, move), place in self._places.items():
            if self._updates[place]:
                yield QValue(state, move, self._values[place], self._updates[place])

    def rows(self) -> list[tuple[str, str, float, int]]:
        """The same as plain values, for `restore`."""
        return [(str(state), str(move), value, updates) for state, move, value, updates in self]

    def restore(self, rows: Iterable[tuple[str, str, float, int]]) -> None:
        """Take over the rows of another table. Each value is there once its place has been asked for; until then it is
        `unclaimed`."""
        self._restored = {(state, move): (value, updates) for state, move, value, updates in rows}

    @property
    def unclaimed(self) -> int:
        """Restored values whose places nobody has asked for."""
        return len(self._restored)

    def digest(self) -> str:
        """sha256, in hex, of every updated value to the last bit: equal digests, equal tables."""
        lines = sorted(f"{state}|{move}|{value.hex()}" for state, move, value, _ in self)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
