"""What a search is tried on: a space, the reward of one training of each design, and the design's true value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from metaqnn_trainer.spaces.base import Space


@dataclass(frozen=True)
class Landscape:
    """A space whose rewards are looked up. All values are fractions: 0.9 is an accuracy of 90 %."""

    name: str
    """Family and table, for example `nas-bench-201/cifar10`."""
    space: Space
    reward: Callable[[str, int, int], float]
    """The reward of one training of a design: of the design, the seed of the search and the number of the training,
    counted from 0. The same arguments give the same reward, whichever searcher asks.
    """
    truth: Callable[[str], float]
    """The true value of a design."""
    optimum: float | None
    """The highest true value, where it is known."""
    about: str
    """What rewards and true values are, in one line."""
