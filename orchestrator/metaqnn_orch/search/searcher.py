"""The interface of a searcher: it proposes designs, is told their results, and explains its beliefs.

A searcher is a fold: its proposals depend on the seed, the step, the results in the order in which it was told them,
and the designs that are known. A model that it fits to them is a cache, which a resumed run builds again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, NamedTuple

from metaqnn_orch.search.schedule import EpsilonPhase
from metaqnn_trainer.plugins import Group
from metaqnn_trainer.spaces.base import Space

SEARCHERS: Final = Group("metaqnn.searchers", "metaqnn_orch.search.searchers", "metaqnn_orch.search.searcher:Searcher")
DEFAULT_METHOD: Final = "q-learning"

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

Goals = Mapping[str, Literal["min", "max"]]
"""Measures by name, each with the direction in which it is better."""

Randomness = Callable[[str, int], Random]
"""A random generator for a purpose and a counter. It depends on them and on the run's seed alone, so that a resumed run
draws the same numbers as an undisturbed one. Use only its `random()`: that sequence never changes between versions
of Python.
"""


class Confirm(NamedTuple):
    """How the best designs are confirmed: trained again with other seeds before one is named the best."""

    top: int
    """Number of designs; 0: none."""
    repeats: int
    """How often each is trained again."""


NOTHING_CONFIRMED: Final = Confirm(top=0, repeats=2)


class Setup(NamedTuple):
    """The arguments with which a searcher is made."""

    space: Space
    options: Any
    """An instance of its Options."""
    randomness: Randomness
    phases: tuple[EpsilonPhase, ...]
    """The schedule: how many designs the search trains, and at which epsilon each is sampled, where the searcher uses
    one.
    """


class Known(NamedTuple):
    """What a searcher may know of the run beside what it was told."""

    told: int
    """Designs whose reward is known."""
    in_flight: Collection[str]
    """Designs in training, in the order of their proposal."""
    designs: Collection[str]
    """The designs that were proposed already: told, in flight or abandoned. To propose one of them again trains
    nothing.
    """


class Proposal(NamedTuple):
    """The next trial that the searcher wants."""

    design: str
    """The design's canonical text."""
    recipe: Mapping[str, Any] = NOTHING
    """Settings of the recipe that differ for this trial. The same design with another recipe is another trial."""
    initial: str | None = None
    """A design that was told before, with whose weights this trial begins, as far as they fit. This, too, makes another
    trial.
    """


class Experience(NamedTuple):
    """The result of one design."""

    design: str
    reward: float
    """Higher is better."""
    measures: Mapping[str, float] = NOTHING
    trained: bool = True
    """Whether training went to its end; False where it was stopped early and the reward is predicted."""


class Belief(NamedTuple):
    """What a searcher believes of one move."""

    move: str
    value: float | None = None
    """The value that it gives the move; None where it keeps no values."""
    updates: int | None = None
    """How often the value was updated; None where it is not kept, but predicted."""
    probability: float | None = None
    """Probability that it chooses the move next, where it is known."""
    is_best: bool = False
    completion: str | None = None
    """The design to which the move leads if the best move follows each time."""


class Beliefs(NamedTuple):
    """What a searcher believes of the moves after the beginning of a design."""

    beliefs: list[Belief]
    """A belief for each legal move, the best first. There are none where the design is complete."""
    choice: str
    """What the searcher would choose, in words."""


class Finding(NamedTuple):
    """Something that a searcher has learned, as a picture with one bar or point for each label."""

    title: str
    """What the searcher has learned, in a few words."""
    unit: str
    """What the values are, in words."""
    values: Mapping[str, float]
    """A value for each label, in the order of the picture. Where all labels are numbers, they are places on an axis."""
    label: str = ""
    """What the labels are, in words."""
    note: str = ""
    """A sentence below the picture."""


class Searcher(ABC):
    """Proposes trials, and is told their rewards. It reads no clock and no file, and has no randomness of its own."""

    Options: ClassVar[Any]
    """The searcher's options in the settings: a dataclass or a pydantic model with good defaults."""
    section: ClassVar[str] = "search"
    """The section of the settings with its options."""
    summary: ClassVar[str] = ""
    """The name of the method, a colon, and what it does and is good for, in one line: `random search: learns nothing`.
    `start` prints it.
    """
    value_words: ClassVar[str] = "value"
    """What the values of its beliefs are, as the title of a column."""
    confirm: ClassVar[Confirm] = NOTHING_CONFIRMED
    """How its best designs are confirmed, unless the settings say something else."""

    def __init__(self, setup: Setup) -> None:
        self.space = setup.space
        self.options = setup.options
        self.randomness = setup.randomness

    @property
    def goals(self) -> Goals:
        """The measures beside the reward for which the searcher looks for a front. By default there are none."""
        return NOTHING

    @abstractmethod
    def propose(self, step: int, known: Known) -> Proposal | None:
        """The proposal of a step, counted from 0; None where there is no new design to try. It may be a known design:
        then the searcher is told its reward again, and the next step follows.
        """

    @abstractmethod
    def tell(self, experience: Experience) -> None:
        """Take in the result of a design. It is called once for each time that the design was proposed, in the order in
        which results came in. Of trainings that confirm a design the searcher is told nothing: `shortlist` is handed
        their means.
        """

    def recall(self, rows: Sequence[tuple[str, float]], weight: float) -> None:
        """Begin with designs and rewards of another run. `weight`: how much a result of the other run counts beside one
        of this run. By default the searcher is told each.
        """
        for design, reward in rows:
            self.tell(Experience(design, reward))

    def epsilon(self, known: Known) -> float | None:
        """The probability with which the next move is drawn at random; None for a searcher without epsilon."""
        return None

    def explain(self, beginning: str, known: Known) -> Beliefs:
        """The beliefs about the moves after the beginning of a design. By default they only name the moves."""
        state = self.space.after(beginning)
        moves = [] if state is None else self.space.legal(state)
        return Beliefs([Belief(str(move)) for move in moves], self.summary)

    def shortlist(self, ranked: Sequence[tuple[str, float]], count: int) -> Sequence[str]:
        """The designs to confirm, at most `count` of them: by default the first. `ranked` are all trained designs with
        their rewards, the best first; where a design was confirmed before, its reward is the mean over its trainings.
        """
        return [design for design, _ in ranked[:count]]

    def findings(self) -> list[Finding]:
        """What the searcher has learned of the space as a whole, for reports."""
        return []

    def snapshot(self) -> Any:
        """A snapshot that makes `restore` quick: plain JSON, or None where telling every result again is quick
        enough.
        """
        return None

    def restore(
        self, snapshot: Any, recalled: Sequence[tuple[str, float]], weight: float, told: Iterable[Experience]
    ) -> None:
        """Restore the state of a searcher that was told all this, and gave that snapshot. By default it is told every
        result again.

        Raises:
            ValueError, TypeError, LookupError: the snapshot is not one of this searcher.
        """
        if recalled:
            self.recall(recalled, weight)
        for experience in told:
            self.tell(experience)
