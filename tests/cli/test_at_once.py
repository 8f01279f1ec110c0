"""Two processes that do the same at once, into the same place: both leave a whole result, or one says what is there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Answer, Trained, needs_trainer, program, put_dataset


def twice(*arguments: object) -> list[Answer]:
    with ThreadPoolExecutor(2) as pool:
        return [one.result() for one in [pool.submit(program, *arguments) for _ in range(2)]]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@needs_trainer
def test_two_at_once_leave_whole_files(trained: Trained, tmp_path: Path) -> None:
    store = ("--store", trained.store)
    assert [answer.code for answer in twice("pull", "first", *store, "--to", tmp_path / "best")] == [0, 0]
    assert program("pull", "first", *store, "--to", tmp_path / "again").code == 0
    assert contents(tmp_path / "best") == contents(tmp_path / "again")

    net = tmp_path / "out" / "net.safetensors"
    assert [answer.code for answer in twice("export", "first", *store, "--to", net)] == [0, 0]
    after = program("export", "first", *store, "--to", net)
    assert after.code == 0, "the card is that of the files, or they would be said to be of somebody else"
    assert sorted(path.name for path in net.parent.iterdir()) == ["net.py", "net.safetensors", "net.safetensors.md"]

    place = tmp_path / "new"
    assert [answer.code for answer in twice("dataset", "push", "digits", "--store", place)] == [0, 0]
    assert len([*DirectoryStore(place).list("datasets")]) == 1


@needs_trainer
def test_two_reports_at_once_are_one(trained: Trained, tmp_path: Path) -> None:
    pytest.importorskip("vl_convert", reason="needs the extra: metaqnn-orch[report]")
    answers = twice("report", "first", "--store", trained.store, "--to", tmp_path / "report")
    assert [answer.code for answer in answers] == [0, 0], answers
    assert program("report", "first", "--store", trained.store, "--to", tmp_path / "again").code == 0
    found, alone = contents(tmp_path / "report"), contents(tmp_path / "again")
    assert found.keys() == alone.keys()
    assert {name: data for name, data in found.items() if name.endswith(".csv")} == {
        name: data for name, data in alone.items() if name.endswith(".csv")
    }
    assert found["index.html"].rstrip().endswith(b"</html>")


def test_of_two_drafts_at_once_one_is_written_and_the_other_one_says_so(
    finished: DirectoryStore, tmp_path: Path
) -> None:
    put_dataset(finished)
    answers = twice("init", "digits", "--store", finished.uri, "--to", tmp_path / "digits.yaml")
    assert sorted(answer.code for answer in answers) == [0, 2], answers
    (refused,) = [answer for answer in answers if answer.code]
    assert "exists already" in refused.err
    assert "dataset" in (tmp_path / "digits.yaml").read_text()
