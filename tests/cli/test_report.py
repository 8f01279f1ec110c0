"""metaqnn-orch report: what lands in the folder, and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from metaqnn_orch.control.record import load_record
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, tree
from tests.control.world import Session, settings

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
