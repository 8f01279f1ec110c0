"""The Q-table: the Q-value of each move in each state, and the update equation (paper, section 4, equation 3)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

Select = Callable[[Sequence[float]], tuple[float, ...]]  # from all values of the table to those of one state's moves


class Transition(NamedTuple):
    """One decision, with its places in the table."""

    place: int
    next_values: (
        Select | None
    )  # the values of the next state's legal moves; None where the decision completed the design


class QValue(NamedTuple):
    """One row of the table, for people."""

    state: Any
    """The key of a state, in the form of the space."""
    move: Any
    value: float
    updates: int


class QTable:
    """Q-values by state and move. Values that were never updated are `initial`."""

    def __init__(self, *, initial: float = 0.5, learning_rate: float = 0.01, discount: float = 1.0) -> None:
        self._initial = initial
        self._alpha = learning_rate
        self._gamma = discount
        self._places: dict[tuple[Hashable, Hashable], int] = {}
        self._values: list[float] = []
        self._updates: list[int] = []
        # A state has several only where limits on a design's size leave it other moves. They are compared one by one
        # and not hashed: the tuple is nearly always the identical object, and hashing a dozen moves takes longer.
        self._selects: dict[Hashable, list[tuple[Sequence[Any], Select]]] = {}
        # restored values whose places were not asked for yet
        self._restored: dict[tuple[str, str], tuple[float, int]] = {}

    def values(self, state: Hashable, moves: Sequence[Any]) -> tuple[float, ...]:
        """The Q-value of each of `moves` in `state`."""
        return self.select(state, moves)(self._values)

    def select(self, state: Hashable, moves: Sequence[Any]) -> Select:
        """A prepared look-up of the Q-values of these moves."""
        known = self._selects.setdefault(state, [])
        for others, select in known:
            if others is moves or others == moves:
                return select
        places = [self.place(state, move) for move in moves]
        # itemgetter of one place returns a bare value; naming the place twice makes it return a tuple.
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
        """Update the values of one trajectory, last transition first, so that the reward reaches the first layer in one
        pass.
        """
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
        """The updated values as plain rows, for `restore`."""
        return [(str(state), str(move), value, updates) for state, move, value, updates in self]

    def restore(self, rows: Iterable[tuple[str, str, float, int]]) -> None:
        """Take over the rows of another table. A value takes its place when the place is first asked for; until then it
        is `unclaimed`.
        """
        self._restored = {(state, move): (value, updates) for state, move, value, updates in rows}

    @property
    def unclaimed(self) -> int:
        """Number of restored values whose places were not asked for yet."""
        return len(self._restored)

    def digest(self) -> str:
        """sha256, in hex, of every updated value to the last bit: tables with equal digests are equal."""
        lines = sorted(f"{state}|{move}|{value.hex()}" for state, move, value, _ in self)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
