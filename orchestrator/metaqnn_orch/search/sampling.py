"""Random choices, all made by `rng.random()` alone: Python keeps its sequence from version to version."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random
from typing import Any, Final, TypeVar

from metaqnn_trainer.spaces.base import Space

TRIES: Final = 100  # draws before a known design is accepted

Item = TypeVar("Item")


def random_design(space: Space, rng: Random) -> str:
    """A random design; each legal move is as likely as the others."""
    return completed(space, [], space.start, rng)


def completed(space: Space, moves: list[Any], state: Any | None, rng: Random) -> str:
    """A random design that begins with these moves, which lead to `state`."""
    moves = [*moves]
    while state is not None:
        moves.append(pick(space.legal(state), rng))
        state = space.step(state, moves[-1])
    return space.text(moves)


def new_design(space: Space, known: Collection[str], rng: Random) -> str:
    """A random design that is not known, if one is found; else a known one."""
    for _ in range(TRIES):
        design = random_design(space, rng)
        if design not in known:
            break
    return design


def pick(items: Sequence[Item], rng: Random) -> Item:
    """One of the items, each as likely as the others."""
    return items[int(rng.random() * len(items))]


def sample(items: Sequence[Item], count: int, rng: Random) -> list[Item]:
    """So many different items in random order; all of them where there are not so many."""
    left = [*items]
    for place in range(min(count, len(left))):
        other = place + int(rng.random() * (len(left) - place))
        left[place], left[other] = left[other], left[place]
    return left[:count]
