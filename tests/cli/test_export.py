"""metaqnn-orch export: the best net of a real run as a file, and what is refused before the trainer is asked."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from metaqnn_orch import Search
from metaqnn_orch.launchers.base import Phase
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import PROGRAM, Cli, Trained, clean_environment, tree
from tests.control.world import Session, result_for, settings


def without_weights(store: Store, request: TrainingRequest, attempt: int) -> Phase:
    """What a table leaves."""
    store.put_if_absent(keys.result(request.run, request.trial), encode(result_for(request, attempt)))
    return Phase.DELIVERED


def test_the_best_net_as_weights(cli: Cli, trained: Trained, tmp_path: Path) -> None:
    to = tmp_path / "out" / "best.safetensors"
    told = cli("export", "first", "--store", trained.store, "--to", to, "-o", "json").json()
    best = trained.answer.json()["best"]
    assert told["trial"] == best["trial"]
    assert told["accuracy"] == told["recorded"] == best["val_accuracy"]
    assert tree(to.parent) == ["best.py", "best.safetensors", "best.safetensors.md"]


def test_python_takes_it_home_too(trained: Trained, tmp_path: Path) -> None:
    search = Search("first", trained.store)
    assert search.best is not None
    assert search.export(tmp_path / "best.safetensors").accuracy == search.best.val_accuracy
    assert tree(tmp_path) == ["best.py", "best.safetensors", "best.safetensors.md"]


def test_a_trial_by_its_id_in_words(cli: Cli, trained: Trained, tmp_path: Path) -> None:
    trial = trained.answer.json()["best"]["trial"]
    where = ("--store", trained.store, "--trial", trial, "--to", tmp_path / "net.pt2")
    answer = cli("export", "first", *where, "--fixed-size")
    assert (answer.code, answer.out) == (0, ""), answer.err
    assert f"trial {trial} in net.pt2, net.pt2.md" in answer.err
    assert "validation images rightly" in answer.err
    assert "uint8 images (1, 8, 8)" in (tmp_path / "net.pt2.md").read_text()


def test_the_ending_may_be_left_out_with_a_format(cli: Cli, trained: Trained, tmp_path: Path) -> None:
    for name, written in (("model", "model.safetensors"), ("model.v2", "model.v2.safetensors")):
        answer = cli("export", "first", "--store", trained.store, "--to", tmp_path / name, "--format", "safetensors")
        assert answer.code == 0, answer.err
        assert (tmp_path / written).is_file()


def test_a_file_of_somebody_else_is_replaced_only_by_force(cli: Cli, trained: Trained, tmp_path: Path) -> None:
    card = tmp_path / "net.safetensors.md"
    card.write_text("# My notes")
    command = ["export", "first", "--store", trained.store, "--to", tmp_path / "net.safetensors"]
    words = "net.safetensors.md exists, and is not what an earlier export wrote; --force replaces it"
    assert words in cli(*command).refused()
    assert tree(tmp_path) == [card.name]
    assert cli(*command, "--force").code == 0
    assert "My notes" not in card.read_text()
    assert cli(*command).code == 0, "and then it is an earlier export"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--to", "net.bin"), "is no known format"),
        (("--to", "net.onnx", "--format", "torch"), "contradict each other"),
        (("--to", "net.onnx", "--format", "caffe"), "invalid value for '--format'"),
        (("--to", "net.onnx", "--trial", "000000000000"), "has no trial '000000000000'"),
        (("--to", "net.pt2"), "kept no weights"),
    ],
)
def test_what_cannot_be_exported(
    cli: Cli,
    store: DirectoryStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    error: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Session(store, settings()).run_to_end(without_weights)
    assert error in cli("export", "test", "--store", store.uri, *arguments).refused()


def test_a_run_without_a_net(cli: Cli, store: DirectoryStore, tmp_path: Path) -> None:
    Session(store, settings()).open()
    refused = cli("export", "test", "--store", store.uri, "--to", tmp_path / "net.onnx").refused()
    assert refused == "run test has no trained net yet"


@pytest.mark.parametrize("form", ["net.pt2", "net.safetensors"])
def test_ctrl_c_leaves_nothing_behind(form: str, trained: Trained, tmp_path: Path) -> None:
    to = tmp_path / "there" / form
    # What the trainer leaves is found by the number of its process, which is not that of a stand-in.
    words = [str(word) for word in (PROGRAM, "export", "first", "--store", trained.store, "--to", to)]
    process = subprocess.Popen(words, env=clean_environment(), start_new_session=True, stderr=subprocess.PIPE)
    until = time.monotonic() + 120
    while not list(to.parent.glob(".export-*")) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.001)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    process.communicate()
    assert not list(to.parent.glob(".export-*"))
    assert process.returncode == 130 or to.exists(), "it was faster"
