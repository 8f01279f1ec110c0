from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, Trained, needs_trainer, put_dataset, tree
from tests.control.world import INFO
from tests.seaweedfs import free_ports
from tests.trainer.sources.idx_files import TRAIN_IMAGES, write_set


@needs_trainer
def test_files_become_one_object_that_is_listed(tmp_path: Path, store: DirectoryStore, cli: Cli) -> None:
    write_set(tmp_path / "raw")
    made = cli("dataset", "push", "fashion-mnist", "--source", tmp_path / "raw", "--store", store.uri, "-o", "json")
    found = made.json()
    size = found.pop("bytes")
    assert [found.pop(name) for name in ("classes", "channels", "image_size")] == [10, 1, 6]
    assert [found.pop(name) for name in ("train", "validation", "test")] == [80, 20, 20]
    assert found == {"name": "fashion-mnist", "digest": found["digest"]}
    assert len(store.get(keys.dataset("fashion-mnist", found["digest"]))) == size

    again = cli("dataset", "push", "fashion-mnist", "--source", tmp_path / "raw", "--store", store.uri)
    assert again.code == 0
    _, row = again.out.splitlines()
    assert row.split()[:2] == ["fashion-mnist", found["digest"]]
    assert again.err.splitlines()[-1] == f"next: metaqnn-orch start PRESET_OR_FILE --run NAME --store {store.uri}"
    assert cli("dataset", "list", "--store", store.uri).out == again.out
    assert cli("dataset", "list", "--store", store.uri, "-o", "json").json() == [made.json()]


@needs_trainer
def test_start_made_the_digits_by_itself(trained: Trained, cli: Cli) -> None:
    (row,) = cli("dataset", "list", "--store", trained.store, "-o", "json").json()
    assert (row["name"], row["image_size"], row["classes"]) == ("digits", 8, 10)
    assert row["train"] + row["validation"] + row["test"] == 1797


@needs_trainer
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mnist", "--source", "nowhere"], "nowhere is not a directory"),
        (["mnist", "--source", "raw/" + TRAIN_IMAGES], "is not a directory"),
        (["mnist", "--source", "empty"], "neither train-images-idx3-ubyte"),
        (["mnist", "--source", "garbage"], "train-images-idx3-ubyte"),
        (["flowers"], "use --source DIR"),
        (["flowers", "--source", "empty"], "contains no folders"),
        (["digits", "--source", "raw"], "takes no --source"),
        (["digits", "--validation", "99999"], "images are too many for validation"),
    ],
)
def test_files_that_are_none_are_refused_and_leave_nothing(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    write_set(tmp_path / "raw")
    write_set(tmp_path / "garbage")
    (tmp_path / "garbage" / TRAIN_IMAGES).write_bytes(bytes(range(256)))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    refusal = cli("dataset", "push", *arguments, "--store", "new").refused()
    assert refusal.startswith(f"dataset {arguments[0]} could not be made: ")
    assert says in refusal
    assert tree(tmp_path) == before


@needs_trainer
def test_a_store_that_cannot_be_written_to_is_a_failing_store(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "file").write_text("in the way")
    write_set(tmp_path / "raw")
    answer = cli("dataset", "push", "mnist", "--source", tmp_path / "raw", "--store", tmp_path / "file" / "store")
    assert str(tmp_path) in answer.refused(5)


@pytest.mark.parametrize(
    "arguments",
    [
        ["Digits"],
        ["../digits"],
        [""],
        ["x" * 300],
        ["digits\n"],
        ["digits", "--image-size", "0"],
        ["digits", "--image-size", "nan"],
        ["digits", "--validation", "-1"],
        ["digits", "--validation", "1e3"],
    ],
)
def test_bad_words_are_refused_before_anything_is_made(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    monkeypatch.chdir(tmp_path)
    cli("dataset", "push", *arguments, "--store", "new").refused()
    assert tree(tmp_path) == []


def test_a_store_without_datasets_has_an_empty_list(store: DirectoryStore, cli: Cli) -> None:
    assert "there is no store at" in cli("dataset", "list", "--store", store.uri).refused()
    assert not Path(store.uri).exists()
    Path(store.uri).mkdir()
    assert cli("dataset", "list", "--store", store.uri, "-o", "json").json() == []
    assert len(cli("dataset", "list", "--store", store.uri).out.splitlines()) == 1


def test_names_of_datasets_in_order(store: DirectoryStore, cli: Cli) -> None:
    for name in ("zebras", "ants"):
        put_dataset(store, INFO.model_copy(update={"name": name}))
    assert [row["name"] for row in cli("dataset", "list", "--store", store.uri, "-o", "json").json()] == [
        "ants",
        "zebras",
    ]


def test_an_object_that_is_no_dataset_is_named(store: DirectoryStore, cli: Cli) -> None:
    key = keys.dataset("digits", "0123456789abcdef")
    store.put(key, b"\x1b[2J" * 100)
    assert key in cli("dataset", "list", "--store", store.uri).refused()


def test_a_folder_that_is_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    monkeypatch.chdir(tmp_path)
    answer = cli("dataset", "push", "x", "--source", "https://ada:hunter2@files.example/x.zip", "--store", "new")
    assert "is an address" in answer.refused()
    assert "hunter2" not in answer.err
    assert tree(tmp_path) == []


def test_a_store_that_does_not_answer_is_told_of_before_anything_is_made(
    cli: Cli, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_ports(1)[0]}")
    answer = cli("dataset", "push", "digits", "--store", "s3://bucket/runs")
    assert "Could not connect to the endpoint" in answer.refused(5)
    assert "hint: does a server run there?" in answer.err


def test_the_help_names_sources_that_are_installed_and_takes_no_torch(tmp_path: Path) -> None:
    metadata = tmp_path / "prices-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: prices\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text("[metaqnn.datasets]\nprices = prices:PLUGIN\n")
    program = (
        "import sys; from metaqnn_orch.cli.app import build_app; "
        "build_app()(['dataset', 'push', '--help'], standalone_mode=False); assert 'torch' not in sys.modules"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert "Installed: prices, of prices 0.1" in found.stdout
