"""Spaces with a fixed number of choices, each among a fixed set."""

from __future__ import annotations

from collections.abc import Sequence

from metaqnn_trainer.spaces.base import Space

Moves = tuple[str, ...]


class Choices(Space):
    """A state is the tuple of the choices so far. What a searcher learns of a choice is shared by all designs with the
    same choice before it, as in the paper's spaces.
    """

    places: tuple[Moves, ...]
    """The choices of each place."""
    start: Moves = ()

    def options_at(self, moves: Moves) -> Sequence[str]:
        """The choices after these, in the whole product of the places."""
        return self.places[len(moves)]

    def representative(self, moves: Sequence[str]) -> list[str]:
        """The legal moves to the same design: by default, these."""
        return [*moves]

    def legal(self, state: Moves) -> Sequence[str]:
        return self.options_at(state)

    def step(self, state: Moves, move: str) -> Moves | None:
        return (*state, move) if len(state) + 1 < len(self.places) else None

    def key(self, state: Moves) -> tuple[int, Moves]:
        return len(state), state[-1:]
