"""What trackers show beside a run's numbers: epochs, and the files of the best net."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from metaqnn_orch.application.run_files import RunFiles
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.reporting.summary import RunView
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.store.directory import DirectoryStore
from tests.reporting.finished_run import RUN, copied
from tests.reporting.shown import NO_TRAINER

NO_ONNX = (
    *(sys.executable, "-c"),
    "import runpy, sys; 'onnx' in sys.argv and sys.exit('no onnx here'); sys.argv[0] = 'trainer'; "
    "runpy.run_module('metaqnn_trainer', run_name='__main__', alter_sys=True)",
)
"""The trainer, as it is where the extra `export` is not installed: ONNX itself takes ten seconds of computing."""
PARTS = {"request.json", "result.json", "history.jsonl", "weights.safetensors"}


@pytest.fixture
def run(tmp_path: Path) -> tuple[DirectoryStore, RunView]:
    return copied(tmp_path / "store")


def best_of(view: RunView) -> Trial:
    assert view.state.best is not None
    return view.state.best


def test_epochs_are_those_of_the_history(run: tuple[DirectoryStore, RunView]) -> None:
    store, view = run
    files = RunFiles(store, view, pytest.fail)
    found = files.epochs(best_of(view).trial)
    assert [record.epoch for record in found] == [1, 2]
    assert max(record.reward for record in found) == best_of(view).reward
    assert files.epochs("0" * 12) == []


def test_the_best_net_comes_with_its_parts_a_module_and_a_card_where_there_is_no_onnx(
    run: tuple[DirectoryStore, RunView], tmp_path: Path
) -> None:
    store, view = run
    best = best_of(view).trial
    folder = tmp_path / "best"
    folder.mkdir()
    assert RunFiles(store, view, pytest.fail, NO_ONNX).best(folder, "") == best
    assert {path.name for path in folder.iterdir()} >= PARTS | {"net.safetensors", "net.safetensors.md"}
    assert best in (folder / "net.safetensors.md").read_text()


def test_what_is_shown_already_is_not_written_again(run: tuple[DirectoryStore, RunView], tmp_path: Path) -> None:
    store, view = run
    folder = tmp_path / "best"
    folder.mkdir()
    assert RunFiles(store, view, pytest.fail, NO_TRAINER).best(folder, best_of(view).trial) == ""
    assert [*folder.iterdir()] == []


def test_without_a_trainer_only_the_card_is_missing_and_that_is_said(
    run: tuple[DirectoryStore, RunView], tmp_path: Path
) -> None:
    store, view = run
    folder, said = tmp_path / "best", list[str]()
    folder.mkdir()
    assert RunFiles(store, view, said.append, NO_TRAINER).best(folder, "") == best_of(view).trial
    assert {path.name for path in folder.iterdir()} == PARTS
    (line,) = said
    assert line.startswith(f"there is no model card beside the weights of trial {best_of(view).trial}: ")


def test_damaged_weights_are_left_out_and_named(run: tuple[DirectoryStore, RunView], tmp_path: Path) -> None:
    store, view = run
    best, said = best_of(view).trial, list[str]()
    result = read(TrainingResult, store.get, keys.result(RUN, best))
    assert result.weights is not None
    key = artifacts.locate(store, RUN, best, "weights", result.weights)
    store.put(key, bytes(result.weights.size))
    folder = tmp_path / "best"
    folder.mkdir()
    assert RunFiles(store, view, said.append, NO_TRAINER).best(folder, "") == ""
    assert [*folder.iterdir()] == []
    assert "does not have the sha256 that result.json says" in said[0]
