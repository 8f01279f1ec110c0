"""Settings that follow from the dataset, where nobody says them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metaqnn_orch.application.datasets import facts
from metaqnn_orch.errors import BadInput, SettingsError
from metaqnn_orch.settings.sources import FOLLOWING, SettingsLayer, load_settings
from metaqnn_trainer.contract.dataset import KNOWN
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
    for leaf in FOLLOWING:
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

    said = [f"space.{leaf}=8" for leaf in FOLLOWING]
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
    def look(name: str, digest: str | None) -> SettingsLayer:
        return SettingsLayer("dataset pets", {})

    with pytest.raises(SettingsError, match="must be given"):
        load_settings(str(file), {}, [], {}, look=look)
