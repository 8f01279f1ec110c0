"""Recipes and nets keep the laws of every space; what is chosen is trained; datasets are alike as far as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from tests.cli.conftest import Cli, cli
from tests.control.world import INFO, Session, settings
from tests.plugins.own_data import check_followed, coloured
from tests.spaces.behaviour import SpaceBehaviour
from tests.spaces.test_spaces import IMAGES

from metaqnn_hyperparameters.__main__ import main
from metaqnn_hyperparameters.likeness import likeness, metafeatures
from metaqnn_hyperparameters.space import RecipeRules, Recipes
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.errors import NotationError
from metaqnn_trainer.contract.messages import ModelOptions, Recipe
from metaqnn_trainer.spaces.base import IllegalDesign, Space
from metaqnn_trainer.store.directory import DirectoryStore

__all__ = ["cli"]

SMALL: Final[dict[str, Any]] = {"image_size": 8, "channels": 1, "classes": 10, "max_layers": 3}
CHOICES: Final[dict[str, Any]] = {"learning_rate": (0.001, 1.0), "batch_size": (32,), "dropout": ("none", "after_fc")}
DESIGN: Final = "learning_rate=0.001, batch_size=32, dropout=none; [C(64,3,1), SM(10)]"


def recipes(**rules: Any) -> Recipes:
    return Recipes(RecipeRules(**SMALL | {"choices": CHOICES} | rules), ModelOptions())


class TestSpace(SpaceBehaviour):
    datasets = (IMAGES,)

    @pytest.fixture(params=[{}, {"choices": {}}, {"choices": {"mirror": (True, False)}, "max_params": 3000}], ids=str)
    def space(self, request: pytest.FixtureRequest) -> Space:
        return recipes(**request.param)


def test_images_of_ones_own_need_not_be_described(cli: Cli, tmp_path: Path) -> None:
    made = coloured(tmp_path / "pets", 12, 3)
    check_followed(cli, tmp_path, "recipes-digits", made, {"image_size": 12, "channels": 3, "classes": 3})


def test_what_is_chosen_is_the_recipe_and_the_rest_is_the_net() -> None:
    space, asked = recipes(), Recipe(epochs=3, weight_decay=0.1)
    assert space.recipe(DESIGN, asked) == Recipe(
        epochs=3, weight_decay=0.1, learning_rate=0.001, batch_size=32, dropout="none"
    )
    assert space.net(DESIGN) == "[C(64,3,1), SM(10)]"
    assert space.cost(DESIGN) == space.nets.cost("[C(64,3,1), SM(10)]")


def test_choices_come_first_and_in_their_order() -> None:
    space = recipes()
    assert space.following("") == ["learning_rate=0.001", "learning_rate=1.0"]
    assert space.following("learning_rate=1.0, batch_size=32") == ["dropout=none", "dropout=after_fc"]
    assert "C(64,3,1)" in space.following("learning_rate=1.0, batch_size=32, dropout=none")
    for wrong in (
        "batch_size=32, learning_rate=1.0; [SM(10)]",
        "[SM(10)]",
        "learning_rate=0.5, batch_size=32, dropout=none; [SM(10)]",
    ):
        with pytest.raises(IllegalDesign):
            space.walk(wrong)


@pytest.mark.parametrize("text", ["learning_rate; [SM(10)]", "learning_rate=1 [", "x=1; SM(10)"])
def test_what_is_no_design_is_refused(text: str) -> None:
    with pytest.raises(NotationError):
        recipes().describe(text)


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"seed": (1, 2)}, "seed is no field of the recipe that can be chosen"),
        ({"rate": (1,)}, "rate is no field"),
        ({"batch_size": ()}, "has no value"),
        ({"batch_size": (32, 32)}, "one twice"),
        ({"batch_size": (0,)}, "greater than or equal to 1"),
        ({"dropout": ("a, b",)}, "cannot be written"),
    ],
)
def test_choices_that_are_none_are_refused(choices: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        recipes(choices=choices)


def test_a_layer_is_worth_the_same_after_every_recipe() -> None:
    space = recipes()
    one, other = (space.walk(DESIGN.replace("none", what)) for what in ("none", "after_fc"))
    assert [space.key(state) for state, _ in one][3:] == [space.key(state) for state, _ in other][3:]
    assert space.key(one[2][0]) == "2 after batch_size=32"


def test_datasets_are_alike_as_far_as_their_metafeatures_are() -> None:
    digits = metafeatures(INFO)
    assert likeness(digits, digits) == 1
    larger = metafeatures(INFO.model_copy(update={"train": INFO.train * 2}))
    colours = metafeatures(INFO.model_copy(update={"train": INFO.train * 2, "channels": 3}))
    assert 1 > likeness(digits, larger) > likeness(digits, colours) > 0
    assert likeness(digits, larger) == pytest.approx(likeness(larger, digits)) == pytest.approx(2**-0.25)
    table = metafeatures(INFO.model_copy(update={"channels": None, "image_size": None}))
    assert likeness(digits, table) == 0


def test_the_most_similar_run_is_named_with_its_weight(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = DirectoryStore(tmp_path)
    larger = INFO.model_copy(update={"train": 100})
    header = json.dumps({"__metadata__": {"info": larger.text()}}).encode()
    store.put(keys.dataset("digits", "0" * 16), len(header).to_bytes(8, "little") + header)
    with pytest.raises(SystemExit):
        main(["digits", "--store", str(tmp_path)])
    assert "no run in" in capsys.readouterr().err
    Session(store, settings(), run="small").run_to_end()
    opened = Session(store, settings(seed=1), run="empty")
    opened.open()
    main(["digits", "--store", str(tmp_path), "--family", "cnn"])
    said = capsys.readouterr().out
    weight = round(likeness(metafeatures(larger), metafeatures(INFO)), 3)
    assert f"--warm-start-from small --set warm_start.weight={weight}" in said
    assert "empty" not in said
    with pytest.raises(SystemExit):
        main(["svhn", "--store", str(tmp_path)])
    assert "metaqnn-orch dataset push svhn --store " in capsys.readouterr().err


def test_a_similar_run_is_recalled_recipe_and_net() -> None:
    """Nets of ten classes become nets of three; the recipes stay."""
    assert recipes(classes=3).adapted(DESIGN) == DESIGN.replace("SM(10)", "SM(3)")
