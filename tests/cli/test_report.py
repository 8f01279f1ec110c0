"""metaqnn-orch report: what lands in the folder, and what is refused."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
import yaml

from metaqnn_orch.control.record import load_record
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, tree
from tests.control.test_replay_import import GOOD
from tests.control.world import Session, settings
from tests.reporting.test_verdict import verdict

pytest.importorskip("vl_convert", reason="needs the extra: metaqnn-orch[report]")


def test_a_report_of_a_finished_run(cli: Cli, finished: DirectoryStore, tmp_path: Path) -> None:
    to = tmp_path / "some" / "report"
    answer = cli("report", "test", "--store", finished.uri, "--to", to, "--top", 2)
    assert (answer.code, answer.out) == (0, "")
    assert "12 nets" in answer.err
    names = tree(to)
    assert {"index.html", "settings.yaml", "figure-3-learning.csv", "net-02.svg"} <= set(names)
    assert "net-03.svg" not in names
    with (to / "figure-3-learning.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["net"] for row in rows] == [str(number) for number in range(1, 13)]
    assert cli("report", "test", "--store", finished.uri, "--to", to).code == 0  # again, over the first


def test_an_hour_costs_what_the_budget_says(cli: Cli, store: DirectoryStore, tmp_path: Path) -> None:
    Session(store, settings(budget={"price_per_gpu_hour": 3600.0})).run_to_end()  # twelve nets of half a second
    assert cli("report", "test", "--store", store.uri, "--to", tmp_path / "report").code == 0
    assert "6.00: 0.5000 for a net" in (tmp_path / "report" / "index.html").read_text()


def test_its_settings_begin_the_same_run(cli: Cli, finished: DirectoryStore, tmp_path: Path) -> None:
    assert cli("report", "test", "--store", finished.uri, "--to", tmp_path / "report").code == 0
    file = tmp_path / "report" / "settings.yaml"
    assert yaml.safe_load(file.read_text()) == load_record(finished, "test").settings
    shown = cli("config", "show", file, "-o", "json").json()
    assert shown["dataset.digest"]["value"] == settings().dataset.digest


def test_a_report_changes_nothing_in_the_store(cli: Cli, finished: DirectoryStore, tmp_path: Path) -> None:
    before = [(entry.key, finished.get(entry.key)) for entry in finished.list("")]
    assert cli("report", "test", "--store", finished.uri, "--to", tmp_path / "report").code == 0
    assert [(entry.key, finished.get(entry.key)) for entry in finished.list("")] == before


def test_what_cannot_be_reported_on(cli: Cli, store: DirectoryStore, tmp_path: Path) -> None:
    Session(store, settings()).open()
    to = tmp_path / "report"
    assert cli("report", "test", "--store", store.uri, "--to", to).refused() == "run test has no trained net yet"
    assert "no run 'other'" in cli("report", "other", "--store", store.uri, "--to", to).refused()
    assert "greater than or equal to 1" in cli("report", "test", "--store", store.uri, "--to", to, "--top", 0).refused()
    assert not to.exists()


def test_a_folder_that_cannot_be_written(cli: Cli, finished: DirectoryStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    error = cli("report", "test", "--store", finished.uri, "--to", tmp_path / "file" / "report").refused()
    assert "cannot write to" in error
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("kind", ["imported", "rehearsed"])
def test_what_was_not_trained_here_has_no_times(cli: Cli, store: DirectoryStore, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "nets.csv"
    if kind == "imported":
        file.write_bytes(GOOD)
        assert cli("import-replay", file, "--run", "test", "--space", "svhn", "--store", store.uri).code == 0
    else:
        file.write_text('net,accuracy\n"[C(16,3,1), SM(10)]",0.5\n')
        rehearse = ["--launcher", "table", "--table", file, "--table-delay", "0.01", "--max-trials", "3"]
        assert cli("start", "digits", "--run", "test", "--store", store.uri, *rehearse).code == 0
    to = tmp_path / "report"
    assert cli("report", "test", "--store", store.uri, "--to", to, "--price", 2).code == 0
    assert not (to / "timeline.csv").exists()
    text = re.sub("<[^>]+>", " ", re.sub("<svg.*?</svg>", "", (to / "index.html").read_text(), flags=re.DOTALL))
    assert "this run trained nothing" in text
    for invented in ("0.0 s", "seconds", "for training,", "hours of training", "price"):
        assert invented not in text, invented


def test_the_command_that_does_it_again_begins_another_run(cli: Cli, finished: DirectoryStore, tmp_path: Path) -> None:
    assert cli("report", "test", "--store", finished.uri, "--to", tmp_path / "report").code == 0
    assert "start settings.yaml --run test-again --store" in (tmp_path / "report" / "index.html").read_text()


def test_files_of_somebody_else_stay(cli: Cli, finished: DirectoryStore, tmp_path: Path) -> None:
    for name in ("index.html", "settings.yaml", "best-so-far.svg", "best-so-far.csv"):
        file = tmp_path / name / name
        file.parent.mkdir()
        file.write_text("mine")
        command = ["report", "test", "--store", finished.uri, "--to", file.parent]
        assert f"a report would overwrite {name}" in cli(*command).refused()
        assert (tree(file.parent), file.read_text()) == ([name], "mine")
    assert cli(*command, "--force").code == 0
    assert cli(*command).code == 0, "it is a report's folder now"


def test_the_report_of_a_search_shows_its_finals(cli: Cli, finished: DirectoryStore, tmp_path: Path) -> None:
    pets = verdict(class_names=["cat", "dog"], confusion=[[6, 0], [3, 1]])
    finished.put(keys.finals("test-finals"), encode(pets))
    command = ["report", "test", "--store", finished.uri, "--top", "1", "--to", tmp_path / "report"]
    assert cli(*command).code == 0
    assert "as the run test-finals" in (tmp_path / "report" / "index.html").read_text()
    finished.put(keys.finals("test-finals"), b"{")
    done = cli(*command)
    assert (done.code, "the verdict of the finals is left out" in done.err) == (0, True)
    assert 'id="finals"' not in (tmp_path / "report" / "index.html").read_text()
