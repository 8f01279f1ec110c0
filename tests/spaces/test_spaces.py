"""Every space that is built in, with every preset, and one that is made up here: another needs no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest

from metaqnn_orch.settings.presets import presets
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.errors import NotationError
from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import Cost, Part, Space
from tests import built_in
from tests.spaces.behaviour import SpaceBehaviour

IMAGES = DatasetInfo(name="pets", channels=3, image_size=9, classes=5, train=9, validation=9, test=0, source="pets")


@pytest.mark.parametrize("preset", built_in.PRESETS)
class TestCnn(SpaceBehaviour):
    datasets = (IMAGES,)

    @pytest.fixture
    def space(self, preset: str) -> Space:
        return load_settings(preset, {}, [], {}).settings.state_space()


@dataclass(frozen=True)
class TowerOptions:
    widths: tuple[int, ...] = (4, 8, 16)
    most: int = 3


class Tower(Space):
    """Dense layers that grow no wider: `8-8-4.`, where the point ends it."""

    Options = TowerOptions
    start = ()

    def legal(self, state: tuple[int, ...]) -> Sequence[str]:
        widths = [width for width in self.options.widths if not state or width <= state[-1]]
        return (*map(str, widths), ".") if len(state) < self.options.most else (".",)

    def step(self, state: tuple[int, ...], move: str) -> tuple[int, ...] | None:
        return None if move == "." else (*state, int(move))

    def text(self, moves: Sequence[str]) -> str:
        return "-".join(moves).replace("-.", ".")

    def parse(self, text: str) -> list[str]:
        moves = text.replace(".", "-.").strip("-").split("-") if text else []
        if not all(move == "." or move.isdecimal() for move in moves):
            raise NotationError("a tower is made of widths", 1)
        return moves

    def describe(self, design: str) -> list[Part]:
        widths = [784, *(int(move) for move in self.parse(design) if move != "."), 10]
        pairs = pairwise(widths)
        return [Part("dense", str(out), Cost((into + 1) * out, into * out)) for into, out in pairs]


@pytest.mark.parametrize("preset", sorted({*presets()} - {*built_in.PRESETS}))
class TestInstalled(SpaceBehaviour):
    """The presets of plug-ins, whatever their spaces."""

    @pytest.fixture
    def space(self, preset: str) -> Space:
        return load_settings(preset, {}, [], {}).settings.state_space()


class TestTower(SpaceBehaviour):
    @pytest.fixture
    def space(self) -> Space:
        return Tower(TowerOptions(), ModelOptions())

    def test_it_says_what_it_does_not_hold(self, space: Space) -> None:
        with pytest.raises(ValueError, match=r"^choice 2, 16: this is not in the space$"):
            space.walk("4-16.")

    def test_neighbours_change_one_choice(self, space: Space) -> None:
        assert list(space.neighbours("8.")) == ["4.", "16.", ".", "8-4.", "8-8."]

    def test_nothing_is_a_beginning(self, space: Space) -> None:
        assert space.following("") == ["4", "8", "16", "."]

    def test_its_options_are_its_rules(self, space: Space) -> None:
        assert space.words() == [("widths", "(4, 8, 16)"), ("most", "3")]
