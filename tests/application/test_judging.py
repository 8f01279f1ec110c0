"""What becomes of the trainer's words when it judges. The trainer here is a line of shell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metaqnn_orch.application.judging import Judged, judge
from metaqnn_orch.errors import BadInput, LauncherError, NotFound, OrchestratorError, StoreError
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.store.directory import DirectoryStore


def judged(tmp_path: Path, script: str) -> Judged:
    trials = [("a", "0" * 12), ("b", "1" * 12)]
    return judge(DirectoryStore(tmp_path), trials, report=print, trainer=("sh", "-c", script))


def test_the_answer_is_read(tmp_path: Path) -> None:
    told = Judged(2, 0.5, 1.0, 0.75, ["cat", "dog"], [[1, 0], [1, 0]], [[1, 0], [0, 1]])
    assert judged(tmp_path, f"echo '{json.dumps(told._asdict())}'") == told


def test_the_trials_are_named_with_their_runs(tmp_path: Path) -> None:
    asked = judge(
        DirectoryStore(tmp_path),
        [("a", "0" * 12), ("b", "1" * 12)],
        report=print,
        trainer=(
            "sh",
            "-c",
            f'test "$0 $1 $2 $3 $4 $5 $6" = "judge --store {tmp_path} --trial a/000000000000 --trial b/111111111111"'
            ' && echo \'{"images": 1, "first": 1, "together": 1, "validation_together": 1,'
            ' "class_names": [], "confusion": null, "together_confusion": null}\'',
        ),
    )
    assert asked.images == 1


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        (f"echo 'metaqnn_trainer: no weights' >&2; exit {ExitCode.BAD_REQUEST}", BadInput, "no weights"),
        (f"echo 'metaqnn_trainer: no images' >&2; exit {ExitCode.DATASET}", NotFound, "no images"),
        (f"echo 'metaqnn_trainer: no store' >&2; exit {ExitCode.STORE}", StoreError, "no store"),
        (f"echo 'metaqnn_trainer: no room' >&2; exit {ExitCode.STORE_REFUSED}", StoreError, "no room"),
        ("echo 'No module named torch' >&2; exit 1", LauncherError, "exit code 1 while measuring"),
        ("echo nonsense", LauncherError, "exit code 0 while measuring"),
    ],
)
def test_an_end_without_an_answer_says_why(
    tmp_path: Path, script: str, kind: type[OrchestratorError | StoreError], words: str
) -> None:
    with pytest.raises((OrchestratorError, StoreError), match=words) as caught:
        judged(tmp_path, script)
    assert type(caught.value) is kind
