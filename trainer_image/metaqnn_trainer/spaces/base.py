"""The interface of a family of designs: a start, moves, the states to which they lead, and a text for each design."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import fields
from math import log1p
from random import Random
from typing import Any, ClassVar, Final, NamedTuple

from pydantic import BaseModel

from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.errors import ContractError, MessageError, NotationError
from metaqnn_trainer.contract.messages import CNN, ModelOptions, Recipe, TrialSpec
from metaqnn_trainer.contract.options import parse_options
from metaqnn_trainer.plugins import Group

SPACES: Final = Group("metaqnn.spaces", "metaqnn_trainer.spaces", "metaqnn_trainer.spaces.base:Space")
DEFAULT_FAMILY: Final = "cnn"

State = Hashable
Move = Hashable
"""One choice. Its `str()` is its name for people and reports."""


Follow = Callable[[DatasetInfo, Any], Any]
"""How an option follows from a dataset: a function of what the dataset says of itself, and of what is said of the
option, None where nothing is. It returns the value that fits the dataset, as JSON has it: what is said, if that fits;
and None where the dataset has no such thing.
"""
Follows = Mapping[str, Follow]
"""Options by their names, and how each follows."""


def fact(name: str) -> Follow:
    """The option is the dataset's fact of this name."""
    return lambda info, said: info.facts.get(name)


class Cost(NamedTuple):
    """What a design, or a part of one, costs: trainable parameters, and multiply-accumulates for one image forward."""

    params: int
    macs: int

    def __add__(self, other: Cost) -> Cost:  # type: ignore[override]  # a sum of numbers, not a longer tuple
        return Cost(self.params + other.params, self.macs + other.macs)


class IllegalDesign(ValueError):
    """The space does not hold the design; the text names the place and the rule."""


class Part(NamedTuple):
    """One line of a described design."""

    name: str
    output: str
    """Output of the part, in words; for a layer, its shape."""
    cost: Cost
    shape: tuple[int, ...] = ()
    """Output of the part as numbers, where it has a shape."""


class Space(ABC):
    """All designs of one family. A space never changes, and holds no randomness.

    A design is made move by move: from `start`, each of the `legal` moves leads a `step` further, until one completes
    the design. Searchers identify designs by their texts.
    """

    Options: ClassVar[Any]
    """The options of this family in the settings' section `space`, except `family`: a pydantic model, or a
    dataclass.
    """
    follows: ClassVar[Follows] = {}
    """The options that follow from the dataset where nobody says them, by name. What a preset says of them holds of the
    preset's own dataset alone.
    """
    noun: ClassVar[str] = "choice"
    """The family's word for a move."""
    part: ClassVar[str] = "part"
    """The family's word for a part of a design."""

    def __init__(self, options: Any, model: ModelOptions) -> None:
        """`options` are an instance of Options.

        Raises:
            ValueError: no design is legal under them.
        """
        self.options = options
        self.model = model

    @property
    @abstractmethod
    def start(self) -> Any:
        """The state before the first move."""

    @abstractmethod
    def legal(self, state: Any) -> Sequence[Any]:
        """The legal moves from a state, in an order that never changes. Each state of a walk has at least one."""

    @abstractmethod
    def step(self, state: Any, move: Any) -> Any | None:
        """The state to which a legal move leads; None where it completes the design."""

    @abstractmethod
    def text(self, moves: Sequence[Any]) -> str:
        """The canonical text of the design, or of the beginning of one, that consists of these moves."""

    @abstractmethod
    def parse(self, text: str) -> list[Any]:
        """The moves of a design, or of the beginning of one, whether or not they are legal in this space.

        Raises:
            NotationError: the text breaks the grammar.
        """

    @abstractmethod
    def describe(self, design: str) -> list[Part]:
        """The parts of a design in order, with their costs.

        Raises:
            NotationError: the text breaks the grammar.
            ShapeError: the parts do not fit each other.
        """

    def key(self, state: Any) -> Any:
        """The key of a state in a table of values: states with equal keys learn together. By default it is the
        state.
        """
        known: Hashable = state
        return known

    def objection(self, state: Any, move: Any) -> str | None:
        """Why a move is illegal in this state, in words; None where it is legal."""
        return None if move in self.legal(state) else "this is not in the space"

    def beginning(self, text: str) -> list[Any]:
        """The moves that make the beginning of a design: none where nothing is said.

        Raises:
            NotationError: the text breaks the grammar.
        """
        return self.parse(text) if text.strip() else []

    def walk(self, text: str) -> list[tuple[Any, Any]]:
        """The decisions of a design, or of the beginning of one: each is a state and the move chosen there.

        Raises:
            NotationError: the text breaks the grammar.
            IllegalDesign: a move is not legal where it stands.
        """
        decisions: list[tuple[Any, Any]] = []
        state: Any | None = self.start
        for number, move in enumerate(self.beginning(text), 1):
            reason = "the design is already complete before it" if state is None else self.objection(state, move)
            if reason is not None:
                raise IllegalDesign(f"{self.noun} {number}, {move}: {reason}")
            decisions.append((state, move))
            state = self.step(state, move)
        return decisions

    def after(self, text: str) -> Any | None:
        """The state to which the beginning of a design leads; None where the design is complete.

        Raises:
            NotationError, IllegalDesign: as `walk` says.
        """
        decisions = self.walk(text)
        return self.step(*decisions[-1]) if decisions else self.start

    def following(self, text: str) -> list[str]:
        """The moves that may follow the beginning of a design, as texts; none where the design is complete.

        Raises:
            NotationError, IllegalDesign: as `walk` says.
        """
        state = self.after(text)
        return [] if state is None else [str(move) for move in self.legal(state)]

    def canonical(self, text: str) -> str:
        """The canonical text of a design.

        Raises:
            NotationError: the text breaks the grammar.
        """
        return self.text(self.parse(text))

    def check(self, design: str) -> None:
        """Check that a design, legal or not, can be trained on this space's kind of data.

        Raises:
            NotationError: the text breaks the grammar.
            ShapeError: it cannot; the text continues the design's name, for example "does not fit images of 3x32x32".
        """
        self.describe(design)

    def adapted(self, design: str) -> str:
        """A design of another run, adapted to this space: to its number of classes, for example. By default it is the
        design unchanged.
        """
        return self.canonical(design)

    def cost(self, design: str) -> Cost:
        """The cost of the whole design. Raises as `describe` does."""
        return sum((part.cost for part in self.describe(design)), Cost(0, 0))

    def measures(self, design: str) -> dict[str, float]:
        """The measures of a design that are known before it is trained, by the names that `objective` may use."""
        return dict(self.cost(design)._asdict())

    def neighbours(self, design: str) -> Iterator[str]:
        """The designs that differ from a legal one by one choice, in an order that never changes. After the changed
        choice, the other choices are kept as far as they are legal; then the first legal ones complete the design.
        """
        decisions = self.walk(design)
        moves = [move for _, move in decisions]
        seen = {design}
        for place, (state, chosen) in enumerate(decisions):
            for other in self.legal(state):
                if other != chosen:
                    found = self._completed([*moves[:place], other], state, moves[place + 1 :])
                    if found not in seen:
                        seen.add(found)
                        yield found

    def _completed(self, moves: list[Any], before: Any, wanted: Sequence[Any]) -> str:
        state = self.step(before, moves[-1])
        for move in wanted:
            if state is not None and move in self.legal(state):
                moves.append(move)
                state = self.step(state, move)
        while state is not None:
            moves.append(self.legal(state)[-1])
            state = self.step(state, moves[-1])
        return self.text(moves)

    def mutated(self, design: str, rng: Random) -> str:
        """A random neighbour of a legal design; the design itself where it has none. By default one choice is another
        one, and the rest is kept as `neighbours` keeps it. Uses rng.random() alone.
        """
        decisions = self.walk(design)
        moves = [move for _, move in decisions]
        open_places = [place for place, (state, _) in enumerate(decisions) if len(self.legal(state)) > 1]
        if not open_places:
            return design
        place = open_places[int(rng.random() * len(open_places))]
        state, chosen = decisions[place]
        others = [move for move in self.legal(state) if move != chosen]
        other = others[int(rng.random() * len(others))]
        return self._completed([*moves[:place], other], state, moves[place + 1 :])

    def features(self, design: str) -> dict[str, float]:
        """What a model may learn from, by name; a name that is missing is 0. By default: the number of moves, how often
        each move occurs, which move stands at each place from the front and from the back, and the logarithms of the
        measures. `log NAME` is log1p of NAME, which reports show instead.
        """
        moves = [str(move) for _, move in self.walk(design)]
        found: dict[str, float] = {"length": len(moves)}
        found |= {f"number of {move}": count for move, count in Counter(moves).items()}
        found |= {f"{move} at {place}": 1.0 for place, move in enumerate(moves, 1)}
        found |= {f"{move} at -{place}": 1.0 for place, move in enumerate(reversed(moves), 1)}
        return found | {f"log {name}": log1p(max(0.0, value)) for name, value in self.measures(design).items()}

    def net(self, design: str) -> str:
        """The net of the cnn family that a design represents, for tasks that build such nets.

        Raises:
            NotationError: it represents none.
        """
        raise NotationError("designs of this family are not cnn nets", 1)

    def recipe(self, design: str, recipe: Recipe) -> Recipe:
        """The recipe for a design; `recipe` is the one in the settings, and by default the same is returned. It becomes
        a part of the trial.
        """
        return recipe

    def mismatches(self, info: DatasetInfo) -> Mapping[str, tuple[object, object]]:
        """Settings that contradict a dataset, by dotted key: the setting's value, and the dataset's, None where it has
        none. By default these are the options that `follows` says otherwise.
        """
        said = {name: json.loads(json.dumps(getattr(self.options, name))) for name in self.follows}
        pairs = {f"space.{name}": (said[name], find(info, said[name])) for name, find in self.follows.items()}
        return {key: (ours, theirs) for key, (ours, theirs) in pairs.items() if ours != theirs}

    def plugins(self, design: str) -> dict[str, str]:
        """The installed plug-ins on which the meaning of the design depends, by group and name, with their identities.
        Built-in ones are left out, and so is the family itself.
        """
        return {}

    def words(self) -> list[tuple[str, str]]:
        """The rules of the space for people: a name and a sentence each. By default its options and their values."""
        options = self.options
        is_model = isinstance(options, BaseModel)
        names = [*type(options).model_fields] if is_model else [each.name for each in fields(options)]
        return [(name.replace("_", " "), str(getattr(options, name))) for name in names if name != "family"]


def space_of(spec: TrialSpec, load: Callable[[str], Any] = SPACES.load) -> Space | None:
    """The space of a trial's design; None for the cnn family, whose rules are no part of a trial. `load` returns a
    plug-in by its name.

    Raises:
        PluginError: there is no such family, or it cannot be loaded.
        MessageError: its options are wrong; the text names the key.
    """
    if spec.space == CNN:
        return None
    family = load(spec.space.name)
    try:
        found: Space = family(parse_options(family.Options, spec.space, "space"), spec.model)
    except ContractError:
        raise
    except ValueError as error:
        raise MessageError(f"space.options: {error}") from error
    return found
