"""What a searcher has to be: it proposes designs, is told what came of them, and says what it believes.

A searcher is a fold: what it proposes depends on the seed, the step, what it was told in which order, and on which
designs are known. Whatever it fits to that is a cache, which a resumed run builds again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple

from metaqnn_orch.search.schedule import EpsilonPhase
from metaqnn_trainer.plugins import Group
from metaqnn_trainer.spaces.base import Space

SEARCHERS: Final = Group("metaqnn.searchers", "metaqnn_orch.search.searchers")
DEFAULT_METHOD: Final = "q-learning"

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

Randomness = Callable[[str, int], Random]
"""A generator for a purpose and a counter. It depends on them and on the run's seed alone, so that a resumed run draws
what an undisturbed one draws. Use `random()` of it: its sequence never changes between versions of Python."""


class Setup(NamedTuple):
    """What a searcher is made with."""

    space: Space
    options: Any
    """An instance of its Options."""
    randomness: Randomness
    phases: tuple[EpsilonPhase, ...]
    """The schedule: how many designs the search is for, and with which epsilon those are sampled that use one."""


class Known(NamedTuple):
    """What a searcher may know of the run besides what it was told."""

    told: int
    """Designs whose reward is known."""
    in_flight: Collection[str]
    """Designs in training, in the order of their proposal."""
    designs: Collection[str]
    """Those that were proposed already: told, in flight or abandoned. To propose one again trains nothing."""


class Proposal(NamedTuple):
    """What is to be trained next."""

    design: str
    """Its canonical text."""
    recipe: Mapping[str, Any] = NOTHING
    """Settings of the recipe that differ for this one. The same design with another recipe is another trial."""
    initial: str | None = None
    """A design that was told before, with whose weights this one begins, as far as they fit. Another trial, too."""


class Experience(NamedTuple):
    """What came of one design."""

    design: str
    reward: float
    """Higher is better."""
    measures: Mapping[str, float] = NOTHING
    trained: bool = True
    """False where training was stopped early and the reward is foretold."""


class Belief(NamedTuple):
    """What a searcher thinks of one move."""

    move: str
    value: float | None = None
    """What it believes the move to be worth, where it believes such things."""
    updates: int | None = None
    """How often that was learned."""
    probability: float | None = None
    """That it chooses the move next, where it can tell."""
    is_best: bool = False
    completion: str | None = None
    """The design that the move leads to, if what it thinks best follows."""


class Beliefs(NamedTuple):
    """What a searcher thinks where a design begins in some way."""

    beliefs: list[Belief]
    """Of each legal move, the best first. None where the design is whole."""
    choice: str
    """What it would do, in words."""


class Searcher(ABC):
    """Ask it for a proposal, tell it the reward. It reads no clock and no file, and has no randomness of its own."""

    Options: ClassVar[Any]
    """What the settings may say of it: a dataclass or a pydantic model, whose defaults are good ones."""
    section: ClassVar[str] = "search"
    """The section of the settings with its options."""
    summary: ClassVar[str]
    """What it does and what it is good for, in one line."""

    def __init__(self, setup: Setup) -> None:
        self.space = setup.space
        self.options = setup.options
        self.randomness = setup.randomness

    @abstractmethod
    def propose(self, step: int, known: Known) -> Proposal | None:
        """The proposal of a step, counted from 0; None where there is nothing new to try. It may be a known design:
        then the searcher is told its reward again, and the next step follows."""

    @abstractmethod
    def tell(self, experience: Experience) -> None:
        """What came of a design: once for each time that it was proposed, in the order in which results came in."""

    def recall(self, rows: Sequence[tuple[str, float]], weight: float) -> None:
        """Begin with designs and rewards of another run. `weight`: how much one of them counts beside one of this
        run's. By default each is told."""
        for design, reward in rows:
            self.tell(Experience(design, reward))

    def epsilon(self, known: Known) -> float | None:
        """The probability with which the next move is drawn at random; None where it does not work like that."""
        return None

    def explain(self, beginning: str, known: Known) -> Beliefs:
        """What it thinks of the moves after the beginning of a design. By default it only names them."""
        state = self.space.after(beginning)
        moves = [] if state is None else self.space.legal(state)
        return Beliefs([Belief(str(move)) for move in moves], self.summary)

    def snapshot(self) -> Any:
        """What makes `restore` quick: plain JSON, or None where telling everything again is quick enough."""
        return None

    def restore(
        self, snapshot: Any, recalled: Sequence[tuple[str, float]], weight: float, told: Iterable[Experience]
    ) -> None:
        """Be what was told all this, and gave that snapshot. By default everything is told again.

        Raises:
            ValueError, TypeError, LookupError: the snapshot is none of its own.
        """
        if recalled:
            self.recall(recalled, weight)
        for experience in told:
            self.tell(experience)
