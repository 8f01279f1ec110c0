"""What becomes of the trainer's words when it exports. The trainer here is a line of shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaqnn_orch.application.exports import SUFFIXES, Exported, export
from metaqnn_orch.errors import BadInput, LauncherError, NotFound, OrchestratorError, StoreError
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.store.directory import DirectoryStore


def exported(tmp_path: Path, script: str) -> Exported:
    store = DirectoryStore(tmp_path)
    return export(store, "a", "0" * 12, "torch", tmp_path / "n.pt2", report=print, trainer=("sh", "-c", script))


def test_the_answer_is_read(tmp_path: Path) -> None:
    answer = '{"files": ["n.pt2"], "images": 2, "accuracy": 0.5, "recorded": 0.5, "difference": 1e-6}'
    assert exported(tmp_path, f"echo '{answer}'") == Exported(["n.pt2"], 2, 0.5, 0.5, 1e-6)


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        (f"echo 'metaqnn_trainer: no weights' >&2; exit {ExitCode.BAD_REQUEST}", BadInput, "no weights"),
        (f"echo 'metaqnn_trainer: no images' >&2; exit {ExitCode.DATASET}", NotFound, "no images"),
        (f"echo 'metaqnn_trainer: no store' >&2; exit {ExitCode.STORE}", StoreError, "no store"),
        (f"echo 'metaqnn_trainer: no room' >&2; exit {ExitCode.STORE_REFUSED}", StoreError, "no room"),
        ("echo 'No module named torch' >&2; exit 1", LauncherError, "exit code 1 while exporting trial"),
        ("echo nonsense", LauncherError, "exit code 0 while exporting trial"),
        ("kill -9 $$", LauncherError, "exit code -9 while exporting trial"),
    ],
)
def test_an_end_without_an_answer_says_why(
    tmp_path: Path, script: str, kind: type[OrchestratorError | StoreError], words: str
) -> None:
    with pytest.raises((OrchestratorError, StoreError), match=words) as caught:
        exported(tmp_path, script)
    assert type(caught.value) is kind


def test_both_sides_name_the_same_formats() -> None:
    formats = pytest.importorskip("metaqnn_trainer.export.formats", reason="needs the extra: metaqnn-orch[train]")
    assert {form: chosen.suffix for form, chosen in formats.FORMATS.items()} == SUFFIXES
