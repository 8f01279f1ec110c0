"""Recipes and nets: choices of how a net is trained come as moves before its layers.

A design is one line: `learning_rate=0.001, batch_size=64; [C(16,3,1), SM(10)]`. The choices are fields of the recipe,
in the order of the settings. They are learned like layers, each by what was chosen before it; of layers, a Q-table
learns what all recipes have in common.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, Final, NamedTuple

from metaqnn_trainer.contract.errors import NotationError
from metaqnn_trainer.contract.messages import ModelOptions, Recipe
from metaqnn_trainer.spaces.base import Cost, Part, Space
from metaqnn_trainer.spaces.cnn.choices import STRICT
from metaqnn_trainer.spaces.cnn.rules import SpaceRules
from metaqnn_trainer.spaces.cnn.space import Cnn

Value = str | bool | int | float

CHOICES: Final[Mapping[str, tuple[Value, ...]]] = {
    "learning_rate": (0.0003, 0.001, 0.003),
    "weight_decay": (0.0, 0.0005, 0.005),
    "batch_size": (32, 128),
    "dropout": ("none", "every_second"),
    "translate": (0, 1),
}
CHOICE: Final = re.compile(r"(?P<name>[a-z_]{1,40})=(?P<value>[A-Za-z0-9_.+-]{1,40})")
FIXED: Final = {"seed", "phases", "epochs"}  # what every trial has in common, and a schedule that says all rates


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeRules(SpaceRules):
    """The rules of a cnn space, and what may be chosen of the recipe."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    choices: dict[str, tuple[Value, ...]] = field(default_factory=lambda: dict(CHOICES), hash=False)
    """Fields of the recipe with the values that a design may choose, in the order in which they are chosen."""


class Choice(NamedTuple):
    """A field of the recipe and its value, as it is written."""

    name: str
    written: str

    def __str__(self) -> str:
        return f"{self.name}={self.written}"

    @property
    def value(self) -> Any:
        return _read(self.written)


Chosen = tuple[Choice, ...]


class Recipes(Space):
    """A state is the tuple of the choices so far, and after the last one a state of the cnn space."""

    Options: ClassVar[type[RecipeRules]] = RecipeRules
    follows = Cnn.follows
    noun = "choice"
    part = "layer"

    def __init__(self, options: RecipeRules, model: ModelOptions) -> None:
        super().__init__(options, model)
        self.nets = Cnn(options, model)
        self._choices = {name: _choices(name, values) for name, values in options.choices.items()}

    @property
    def start(self) -> Any:
        return () if self._choices else self.nets.start

    def legal(self, state: Any) -> Sequence[Any]:
        return [*self._choices.values()][len(state)] if _is_chosen(state) else self.nets.legal(state)

    def step(self, state: Any, move: Any) -> Any | None:
        if not _is_chosen(state):
            return self.nets.step(state, move)
        chosen = (*state, move)
        return chosen if len(chosen) < len(self._choices) else self.nets.start

    def key(self, state: Any) -> Any:
        """The key of a choice is its place and the choice before it. A layer has the key of the cnn space."""
        return f"{len(state)} after {state[-1] if state else 'nothing'}" if _is_chosen(state) else self.nets.key(state)

    def objection(self, state: Any, move: Any) -> str | None:
        if not _is_chosen(state):
            return "recipes are chosen before layers" if isinstance(move, Choice) else self.nets.objection(state, move)
        return super().objection(state, move)

    def text(self, moves: Sequence[Any]) -> str:
        chosen = [str(move) for move in moves if isinstance(move, Choice)]
        layers = [move for move in moves if not isinstance(move, Choice)]
        return "; ".join(part for part in (", ".join(chosen), self.nets.text(layers) if layers else "") if part)

    def parse(self, text: str) -> list[Any]:
        written, net = _halves(text)
        moves: list[Any] = []
        for word in filter(None, (each.strip() for each in written.split(","))):
            found = CHOICE.fullmatch(word)
            if found is None:
                raise NotationError(f"{word[:40]!r} stands where name=value should be", 1)
            moves.append(Choice(found["name"], found["value"]))
        return [*moves, *self.nets.beginning(net)]

    def describe(self, design: str) -> list[Part]:
        chosen = [str(move) for move in self.parse(design) if isinstance(move, Choice)]
        parts = self.nets.describe(self.net(design))
        return [Part(", ".join(chosen), "recipe", Cost(0, 0)), *parts] if chosen else parts

    def check(self, design: str) -> None:
        self.recipe(design, Recipe())
        self.nets.check(self.net(design))

    def net(self, design: str) -> str:
        return self.nets.canonical(_halves(design)[1])

    def recipe(self, design: str, recipe: Recipe) -> Recipe:
        """The recipe with the values of the choices."""
        chosen = {move.name: move.value for move in self.parse(design) if isinstance(move, Choice)}
        try:
            return recipe.changed(chosen)
        except ValueError as error:
            raise NotationError(f"no recipe has these choices: {error}", 1) from error

    def canonical(self, text: str) -> str:
        written, net = _halves(text)
        return self.text([*self.parse(written), *self.nets.parse(self.nets.canonical(net))])

    def adapted(self, design: str) -> str:
        written, net = _halves(design)
        return self.canonical(f"{written}; {self.nets.adapted(net)}")

    def measures(self, design: str) -> dict[str, float]:
        return self.nets.measures(self.net(design))

    def neighbours(self, design: str) -> Iterator[str]:
        """Designs with another choice, and then those with a neighbour of the net."""
        written, net = _halves(design)
        moves = self.parse(design)
        for place, move in enumerate(moves):
            if isinstance(move, Choice):
                for other in self._choices[move.name]:
                    if other != move:
                        yield self.text([*moves[:place], other, *moves[place + 1 :]])
        for other_net in self.nets.neighbours(net):
            yield self.text([*self.parse(written), *self.nets.parse(other_net)])

    def mutated(self, design: str, rng: Random) -> str:
        """One choice or one layer is another; each is as likely as the others."""
        written, net = _halves(design)
        moves = self.parse(design)
        open_ones = [name for name, those in self._choices.items() if len(those) > 1]
        places = [place for place, move in enumerate(moves) if isinstance(move, Choice) and move.name in open_ones]
        drawn = int(rng.random() * (len(places) + len(moves) - len(self._choices)))
        if drawn >= len(places):
            return self.text([*self.parse(written), *self.nets.parse(self.nets.mutated(net, rng))])
        chosen = moves[places[drawn]]
        others = [other for other in self._choices[chosen.name] if other != chosen]
        moves[places[drawn]] = others[int(rng.random() * len(others))]
        return self.text(moves)

    def features(self, design: str) -> dict[str, float]:
        """The features of the net; of each choice its place among the values, and which it is."""
        found = self.nets.features(self.net(design))
        for move in self.parse(design):
            if isinstance(move, Choice):
                found |= {move.name: float(self._choices[move.name].index(move)), str(move): 1.0}
        return found

    def plugins(self, design: str) -> dict[str, str]:
        return self.nets.plugins(self.net(design))

    def words(self) -> list[tuple[str, str]]:
        chosen = {name: ", ".join(choice.written for choice in those) for name, those in self._choices.items()}
        return [*((name.replace("_", " "), values) for name, values in chosen.items()), *self.nets.words()]


def _is_chosen(state: Any) -> bool:
    """Whether the state is that of a choice. States of the cnn space are tuples, too."""
    return type(state) is tuple


def _halves(text: str) -> tuple[str, str]:
    """The choices and the net, as they are written."""
    before, bracket, after = text.partition("[")
    return before.strip().removesuffix(";").strip(), bracket + after


def _choices(name: str, values: Sequence[Value]) -> Chosen:
    """
    Raises:
        ValueError: the recipe has no such field, or it may not be chosen, or a value is wrong or there twice.
    """
    if name not in Recipe.model_fields or name in FIXED:
        raise ValueError(f"choices: {name} is no field of the recipe that can be chosen")
    written = [value if isinstance(value, str) else json.dumps(value) for value in values]
    if not written or len({*written}) < len(written):
        raise ValueError(f"choices.{name} has no value, or one twice")
    found = tuple(Choice(name, each) for each in written)
    for choice in found:
        if CHOICE.fullmatch(str(choice)) is None:
            raise ValueError(f"choices.{name}: {choice.written!r} cannot be written in a design")
        Recipe.model_validate_json(json.dumps({name: choice.value}))
    return found


def _read(written: str) -> Any:
    try:
        return json.loads(written)
    except ValueError:
        return written
