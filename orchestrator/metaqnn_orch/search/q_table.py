"""The Q-table: what is believed of each layer in each state, and the update equation (paper, section 4, equation 3)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from metaqnn_trainer.spaces.cnn.layer import Layer, StateKey

Select = Callable[[Sequence[float]], tuple[float, ...]]  # all values of the table to those of one state's moves


class Transition(NamedTuple):
    """One decision, resolved to places in the table."""

    place: int
    next_values: Select | None  # the values of the next state's legal moves; None where the decision ended the net


class Entry(NamedTuple):
    """One row of the table, for people."""

    state: StateKey
    layer: Layer
    value: float
    updates: int


class QTable:
    """Values by state and layer. Unvisited ones are `initial`."""

    def __init__(self, *, initial: float = 0.5, learning_rate: float = 0.01, discount: float = 1.0) -> None:
        self._initial = initial
        self._alpha = learning_rate
        self._gamma = discount
        self._places: dict[tuple[StateKey, Layer], int] = {}
        self._values: list[float] = []
        self._updates: list[int] = []
        # Several for a state only where limits on a net's size leave it other moves. Looked through rather than looked
        # up: they are nearly always the very tuple that is asked for, and hashing a dozen layers takes longer.
        self._selects: dict[StateKey, list[tuple[tuple[Layer, ...], Select]]] = {}

    def values(self, state: StateKey, layers: tuple[Layer, ...]) -> tuple[float, ...]:
        """What is believed of each of `layers` in `state`."""
        return self.select(state, layers)(self._values)

    def select(self, state: StateKey, layers: tuple[Layer, ...]) -> Select:
        """A prepared look-up of those values."""
        known = self._selects.setdefault(state, [])
        for moves, select in known:
            if moves is layers or moves == layers:
                return select
        places = [self.place(state, layer) for layer in layers]
        # itemgetter of one place returns a bare value; naming it twice keeps the answer a tuple.
        select = itemgetter(*(places if len(places) > 1 else places * 2))
        known.append((layers, select))
        return select

    def place(self, state: StateKey, layer: Layer) -> int:
        place = self._places.setdefault((state, layer), len(self._values))
        if place == len(self._values):
            self._values.append(self._initial)
            self._updates.append(0)
        return place

    def update(self, transitions: Sequence[Transition], reward: float) -> None:
        """One trajectory, last transition first, so that the reward reaches the first layer in one pass."""
        q, updates, alpha, gamma = self._values, self._updates, self._alpha, self._gamma
        for place, next_values in reversed(transitions):
            target = reward if next_values is None else gamma * max(next_values(q))
            q[place] = (1 - alpha) * q[place] + alpha * target
            updates[place] += 1

    def updates(self, state: StateKey, layer: Layer) -> int:
        """How often the value was updated."""
        place = self._places.get((state, layer))
        return self._updates[place] if place is not None else 0

    def __iter__(self) -> Iterator[Entry]:
        """Every value that was ever updated."""
        for (state, layer), place in self._places.items():
            if self._updates[place]:
                yield Entry(state, layer, self._values[place], self._updates[place])

    def restore(self, entries: Iterable[Entry]) -> None:
        """Take over what iterating another table gave."""
        for state, layer, value, updates in entries:
            place = self.place(state, layer)
            self._values[place], self._updates[place] = value, updates

    def digest(self) -> str:
        """sha256, in hex, of every updated value to the last bit: equal digests, equal tables."""
        lines = sorted(f"{state}|{layer}|{value.hex()}" for state, layer, value, _ in self)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
