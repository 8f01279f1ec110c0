"""Settings that follow from the dataset, where nobody says them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metaqnn_orch.application.datasets import facts
from metaqnn_orch.errors import BadInput, SettingsError
from metaqnn_orch.settings.following import Looked, follow
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.contract.dataset import KNOWN, DatasetInfo
from metaqnn_trainer.spaces.cnn.space import Cnn
from metaqnn_trainer.store.directory import DirectoryStore
from tests import built_in
from tests.cli.conftest import put_dataset
from tests.control.world import INFO

PETS = INFO.model_copy(update={"name": "pets", "image_size": 24, "channels": 3, "classes": 2})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pets.yaml"
    path.write_text("preset: fashion-mnist\ndataset: {name: pets}\n")
    return path


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    store = DirectoryStore(str(tmp_path / "store"))
    put_dataset(store, PETS)
    return store


@pytest.mark.parametrize("name", built_in.PRESETS)
def test_presets_say_only_what_differs(name: str) -> None:
    layered = load_settings(name, {}, [], {})
    known = KNOWN[layered.settings.dataset.name]
    space = layered.settings.space
    assert (space.image_size, space.channels, space.classes) == (known.size, known.channels, known.classes)
    for leaf in Cnn.follows:
        assert layered.origins[f"space.{leaf}"] == f"dataset {layered.settings.dataset.name}"


def test_they_follow_from_the_object_in_the_store(file: Path, store: DirectoryStore) -> None:
    layered = load_settings(str(file), {}, [], {}, look=facts(lambda: store))
    space = layered.settings.space
    assert (space.image_size, space.channels, space.classes) == (24, 3, 2)
    assert layered.origins["space.classes"].startswith("dataset pets-")


def test_what_is_said_wins_and_its_source_is_kept(file: Path, store: DirectoryStore) -> None:
    said = ["space.image_size=16", "space.classes=5"]
    layered = load_settings(str(file), {}, said, {}, look=facts(lambda: store))
    assert (layered.settings.space.image_size, layered.settings.space.classes) == (16, 5)
    assert layered.origins["space.classes"] == "--set space.classes"
    assert layered.origins["space.channels"].startswith("dataset pets-")


def test_a_store_is_not_opened_where_nothing_is_missing(file: Path) -> None:
    def never() -> DirectoryStore:
        raise AssertionError

    said = [f"space.{leaf}=8" for leaf in Cnn.follows]
    assert load_settings(str(file), {}, said, {}, look=facts(never)).settings.space.classes == 8
    assert load_settings("digits", {}, [], {}, look=facts(never)).settings.space.classes == 10


def test_a_dataset_that_is_not_there_is_named_with_what_to_do(file: Path, tmp_path: Path) -> None:
    nowhere: list[dict[str, Any]] = [{}, {"look": facts(lambda: DirectoryStore(str(tmp_path / "empty")))}]
    for look in nowhere:
        with pytest.raises(SettingsError, match=r"space\.image_size, .* follow from .*, but dataset pets") as no:
            load_settings(str(file), {}, [], {}, **look)
        assert "metaqnn-orch dataset push" in no.value.hint
    with pytest.raises(SettingsError, match=r"^space\.classes follows from"):
        load_settings(str(file), {}, ["space.image_size=8", "space.channels=1"], {})


def test_of_several_datasets_one_must_be_chosen(file: Path, store: DirectoryStore) -> None:
    other = put_dataset(store, PETS.model_copy(update={"classes": 3}))
    with pytest.raises(BadInput, match="has 2 datasets named pets"):
        load_settings(str(file), {}, [], {}, look=facts(lambda: store))
    chosen = [f"dataset.digest={other.digest}"]
    assert load_settings(str(file), {}, chosen, {}, look=facts(lambda: store)).settings.space.classes == 3


def test_a_dataset_of_something_else_leaves_them_unsaid(file: Path) -> None:
    def look(name: str, digest: str | None) -> Looked:
        return Looked("dataset pets", DatasetInfo(name="pets", train=1, validation=1, test=0, source="no images"))

    with pytest.raises(SettingsError, match="must be given"):
        load_settings(str(file), {}, [], {}, look=look)


def followed(dataset: str, **said: str) -> tuple[dict[str, Any], dict[str, str]]:
    """A space whose classes and channels come from these sources, of which `preset pets` is made for the pets."""
    space: dict[str, Any] = dict.fromkeys(said, 7)
    values = {"dataset": {"name": dataset}, "space": space}
    origins = {f"space.{leaf}": source for leaf, source in said.items()}
    follow(values, origins, lambda name, digest: Looked(name, PETS), {"preset pets": "pets", "preset any": None})
    return space, origins


def test_what_a_preset_says_of_its_own_dataset_does_not_hold_of_another() -> None:
    space, origins = followed("pets", classes="preset pets", channels="--set space.channels")
    assert (space["classes"], space["channels"], space["image_size"]) == (7, 7, 24)
    assert origins["space.classes"] == "preset pets"
    space, origins = followed("dogs", classes="preset pets", channels="--set space.channels")
    assert (space["classes"], space["channels"]) == (2, 7)
    assert (origins["space.classes"], origins["space.channels"]) == ("dogs", "--set space.channels")
    space, _ = followed("dogs", classes="preset any", image_size="preset pets")
    assert space["classes"] == 7, "a preset that names no dataset speaks of any"
    assert space["image_size"] == 7, "images of another size are resized, so that it fits"


@pytest.mark.parametrize("family", ["nobody", 3, None])
def test_a_family_that_is_not_there_is_refused_later(family: object) -> None:
    values: dict[str, Any] = {"dataset": {"name": "pets"}, "space": {"family": family}}
    follow(values, {}, lambda name, digest: None, {})
    assert values["space"] == {"family": family}


def test_a_function_of_a_family_that_raises_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks(info: DatasetInfo, said: object) -> object:
        return info.facts["height"]

    monkeypatch.setattr(Cnn, "follows", {**Cnn.follows, "classes": lacks})
    with pytest.raises(SettingsError, match=r"^space.classes cannot be found in dogs: KeyError: 'height'$"):
        followed("dogs")
