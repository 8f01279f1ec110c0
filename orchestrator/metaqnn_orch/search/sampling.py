"""Random designs from a space."""

from __future__ import annotations

from random import Random
from typing import Any

from metaqnn_trainer.spaces.base import Space


def random_design(space: Space, rng: Random) -> str:
    """A random design; each legal move is as likely as the others."""
    moves: list[Any] = []
    state: Any | None = space.start
    while state is not None:
        legal = space.legal(state)
        moves.append(legal[int(rng.random() * len(legal))])
        state = space.step(state, moves[-1])
    return space.text(moves)
