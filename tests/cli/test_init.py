"""init: a settings file for images of one's own, which every other command takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaqnn_orch.application.draft import choose
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, needs_trainer, put_dataset, tree
from tests.control.world import INFO

PETS = INFO.model_copy(update={"name": "pets", "image_size": 32, "channels": 3, "classes": 2, "train": 131})


FITTING = [(131, 16, 60), (400, 32, 60), (1600, 128, 60), (50_000, 128, 20)]


@pytest.mark.parametrize(("train", "batch", "epochs"), FITTING)
def test_batch_and_epochs_fit_the_number_of_images(train: int, batch: int, epochs: int) -> None:
    chosen = choose(PETS.model_copy(update={"train": train}))
    assert (chosen["recipe.batch_size"].value, chosen["recipe.epochs"].value) == (batch, epochs)
    assert chosen["recipe.chance_factor"].value == 1.1
    assert choose(PETS.model_copy(update={"classes": 10}))["recipe.chance_factor"].value == 1.5


def test_the_file_of_a_dataset_is_taken_by_every_other_command(
    tmp_path: Path, store: DirectoryStore, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put_dataset(store, PETS)
    made = cli("init", "pets", "--store", store.uri)
    assert made.code == 0
    assert f"metaqnn-orch start pets.yaml --run pets --store {store.uri}" in made.err
    shown = cli("config", "show", "pets.yaml", "-o", "json").json()
    assert shown["recipe.batch_size"] == {"value": 16, "origin": "pets.yaml"}
    assert shown["space.classes"]["value"] == 2
    finals = shown["finals.phases"]["value"]
    assert sum(phase["epochs"] for phase in finals) > 2 * shown["recipe.epochs"]["value"], "finals find a recipe"
    assert cli("start", "pets.yaml", "--run", "first", "--store", store.uri, "--dry-run").code == 0


def test_a_file_is_never_overwritten_by_accident(
    tmp_path: Path, store: DirectoryStore, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put_dataset(store, PETS)
    Path("pets.yaml").write_text("mine")
    assert "pets.yaml exists already" in cli("init", "pets", "--store", store.uri).refused()
    assert Path("pets.yaml").read_text() == "mine"
    written = cli("init", "pets", "--store", store.uri, "--force", "-o", "json").json()
    assert written["settings"]["space.channels"]["value"] == 3
    assert Path("pets.yaml").read_text() != "mine"


def test_of_two_datasets_of_a_name_the_hint_names_one(
    tmp_path: Path, store: DirectoryStore, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    digests = sorted(put_dataset(store, PETS, padding=8 * number).digest for number in range(2))
    refused = cli("init", "pets", "--store", store.uri)
    assert "has 2 datasets named pets" in refused.refused()
    words = refused.err.split()[-1]
    assert words == f"pets-{digests[0]}"
    assert cli("init", words, "--store", store.uri).code == 0
    assert cli("config", "show", "pets.yaml", "-o", "json").json()["dataset.digest"]["value"] == digests[0]
    assert cli("start", "pets.yaml", "--run", "first", "--store", store.uri, "--dry-run").code == 0


def test_what_is_neither_folder_nor_dataset_writes_nothing(
    tmp_path: Path, store: DirectoryStore, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "is no folder here" in cli("init", "pets").refused()
    assert "there is no store at" in cli("init", "pets", "--store", store.uri).refused()
    assert tree(tmp_path) == []
    Path(store.uri).mkdir()
    assert "has no dataset of this name" in cli("init", "pets", "--store", store.uri).refused()
    assert tree(tmp_path) == ["store"]


@needs_trainer
def test_a_folder_is_looked_at_and_left_as_it_was(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.trainer.sources.test_folder import fill

    monkeypatch.chdir(tmp_path)
    fill(Path("My Pets"))
    before = tree(tmp_path)
    assert cli("init", "My Pets").code == 0
    assert {*tree(tmp_path)} - {*before} == {"my-pets.yaml"}
    assert "classes: 2" in Path("my-pets.yaml").read_text()


@needs_trainer
def test_the_commands_that_come_next_work(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a folder that has a known dataset's name, and holds a file that is no image."""
    from tests.trainer.sources.test_folder import fill

    monkeypatch.chdir(tmp_path)
    fill(Path("mnist"))
    next(Path("mnist").rglob("*.png")).with_name("broken.png").write_bytes(b"no picture")
    said = cli("init", "mnist").err.splitlines()
    assert "  metaqnn-orch dataset push my-mnist --source mnist --skip-bad --store ./runs" in said
    command = said[-2].split()[1:]
    assert cli(*command).code == 0
    assert cli("config", "show", "my-mnist.yaml", "--store", "./runs").code == 0


def test_every_choice_has_its_reason_as_a_comment() -> None:
    from metaqnn_orch.application.draft import draft

    chosen = choose(PETS)
    lines = draft(PETS, chosen).splitlines()
    for key, choice in chosen.items():
        found = [line for line in lines if line.startswith(f"  {key.partition('.')[2]}: ")]
        assert any(line.endswith(f"  # {choice.why}") for line in found)
