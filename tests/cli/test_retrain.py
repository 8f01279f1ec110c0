"""metaqnn-orch retrain: what was lost is trained again, as it was."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, Trained, needs_trainer


@pytest.fixture
def store(trained: Trained, tmp_path: Path) -> DirectoryStore:
    """A finished search, all of whose weights were removed."""
    return DirectoryStore(shutil.copytree(trained.store, tmp_path / "store"), durable=False)


@needs_trainer
def test_lost_weights_are_trained_again_bit_for_bit(store: DirectoryStore, tmp_path: Path, cli: Cli) -> None:
    assert cli("pull", "first", "--store", store.uri, "--top", 2, "--to", tmp_path / "before").code == 0
    rows = list(csv.DictReader((tmp_path / "before" / "leaderboard.csv").read_text("utf-8").splitlines()))
    trials = [row["trial"] for row in rows]
    for entry in list(store.list(keys.trials("first"))):
        if "/weights" in entry.key:
            store.delete(entry.key)
    lost = cli("pull", "first", "--store", store.uri, "--top", 2, "--to", tmp_path / "lost")
    assert f"retrain first {trials[0]}" in lost.err
    before = cli("status", "first", "--store", store.uri, "-o", "json").json()
    answer = cli("retrain", "first", *trials, "--store", store.uri, "--parallel", 1)
    assert answer.code == 0, answer.err
    assert "pull first-again" in answer.err
    assert cli("retrain", "first", *trials, "--store", store.uri).code == 0, "it is complete"
    assert cli("pull", "first-again", "--store", store.uri, "--to", tmp_path / "after").code == 0
    for trial in trials:
        one, other = (tmp_path / when / trial / "weights.safetensors" for when in ("before", "after"))
        assert one.read_bytes() == other.read_bytes()
    assert cli("status", "first", "--store", store.uri, "-o", "json").json() == before


@needs_trainer
def test_what_cannot_be_trained_again_is_refused(store: DirectoryStore, cli: Cli) -> None:
    before = list(store.list(""))
    told = ("retrain", "first", "--store", store.uri)
    assert "has no trial '0123456789ab'" in cli(*told, "0123456789ab").refused()
    assert "no run 'other'" in cli("retrain", "other", "0123456789ab", "--store", store.uri).refused()
    [trial, *_] = cli("trials", "first", "--store", store.uri, "-o", "json").json()
    assert "everything else belongs to the run" in cli(*told, trial["trial"], "--set", "recipe.epochs=3").refused()
    assert list(store.list("")) == before
