"""metaqnn-orch trial: one trial, named by the beginning of its id."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaqnn_orch import Search
from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.machine import lines_of
from metaqnn_orch.launchers.kept_lines import KeptLines
from metaqnn_orch.mcp.acting import Cancelling
from metaqnn_orch.mcp.reading import Reading
from metaqnn_orch.reporting.summary import read_run
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, needs_trainer
from tests.reporting.runs import write_run


@needs_trainer
def test_a_trained_one_has_its_net_curve_and_files(cli: Cli, mine: Path) -> None:
    store = DirectoryStore(mine)
    best = read_run(store, "first").state.ranking()[0]
    answer = cli("trial", "first", best.trial[:6], "--store", str(mine))
    assert answer.code == 0, answer.err
    assert answer.out.startswith(best.net)
    for word in ("total", "curve", "in 2 epochs", "weights-", "val accuracy"):
        assert word in answer.out
    told = cli("trial", "first", best.trial, "--store", str(mine), "-o", "json").json()
    assert [epoch["epoch"] for epoch in told["epochs"]] == [1, 2]
    assert told["curve"] == [epoch["reward"] for epoch in told["epochs"]]
    assert told["reward"] == max(epoch["reward"] for epoch in told["epochs"])
    assert {file["key"]: file["bytes"] for file in told["files"]} == dict(store.list(f"runs/first/trials/{best.trial}"))
    assert sum(layer["params"] for layer in told["layers"]) == told["params"]
    assert told["started"] < told["ended"]


def test_attempts_that_were_lost_are_told(cli: Cli, store: DirectoryStore) -> None:
    view = write_run(store)
    lost = next(trial for trial in view.state.trials.values() if trial.state == "abandoned")
    told = cli("trial", "test", lost.trial, "--store", store.uri, "-o", "json").json()
    assert [one["end"] for one in told["lost_attempts"]] == ["disrupted", "crashed", "crashed", "crashed"]
    shown = cli("trial", "test", lost.trial, "--store", store.uri).out
    assert shown.count("crashed") == 3
    assert "none: every attempt was lost" in shown


def test_the_curve_is_that_of_the_journal_where_the_store_has_no_history(cli: Cli, store: DirectoryStore) -> None:
    view = write_run(store)
    told = [
        cli("trial", "test", name, "--store", store.uri, "-o", "json").json()["curve"] for name in view.state.trials
    ]
    assert told == [trial.curve for trial in view.state.trials.values()]
    assert any(told)


def test_one_of_a_stopped_run_waits(cli: Cli, store: DirectoryStore) -> None:
    view = write_run(store)
    (name,) = view.state.in_flight
    assert cli("trial", "test", name, "--store", store.uri, "-o", "json").json()["state"] == "waiting"
    assert "waiting" in cli("trials", "test", "--store", store.uri).out
    rows = cli("trials", "test", "--store", store.uri, "-o", "json").json()
    assert {row["trial"]: row["state"] for row in rows}[name] == "waiting"
    assert ",waiting," in cli("trials", "test", "--store", store.uri, "-o", "csv").out
    net = view.state.trials[name].net
    assert cli("enqueue", "test", net, "--store", store.uri, "-o", "json").json()["state"] == "waiting"
    assert dict(Search("test", store.uri).frame()["state"])[name] == "waiting"
    told = Reading(lambda: store)
    assert {row["trial"]: row["state"] for row in told.trials("test", limit=50)["trials"]}[name] == "waiting"
    shown = Cancelling(lambda: store, LauncherName.LOCAL).preview_cancel("test")
    assert (shown["holder"], shown["in_flight"], shown["waiting"]) == (None, 0, 1)
    assert "waiting: 1 (" in told.report("test")["text"]
    status = cli("status", "test", "--store", store.uri, "-o", "json").json()
    assert (status["in_flight"], status["waiting"]) == (0, 1)


@pytest.mark.parametrize("command", [("trial",), ("retrain",), ("logs",), ("export", "--to=x.onnx", "--trial")])
def test_a_beginning_names_one_trial_or_says_which_it_may_be(
    cli: Cli, store: DirectoryStore, command: tuple[str, ...]
) -> None:
    trials = [*write_run(store).state.trials]
    first = next(name[0] for name in trials if sum(other[0] == name[0] for other in trials) > 1)
    head, *rest = command

    def refused(text: str) -> str:
        return cli(head, "test", *rest, text, "--store", store.uri).refused()

    ambiguous = refused(first)
    assert f"{first} is the beginning of " in ambiguous
    assert next(name for name in trials if name[0] == first) in ambiguous
    assert "no trial id" in refused("x")
    assert "has no trial" in refused("0123456789ab")


def test_the_lines_kept_here_are_found_by_the_beginning_of_the_id(
    cli: Cli, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    view = write_run(store)
    trial = next(iter(view.state.trials))
    KeptLines(lines_of(store.uri, "test")).begin(trial, "attempt 1")
    KeptLines(lines_of(store.uri, "test")).begin("f" * 12, "of no trial of the run")
    assert cli("logs", "test", trial[:7], "--store", store.uri).out == "attempt 1\n"
    assert "has no trial" in cli("logs", "test", "f" * 12, "--store", store.uri).refused()
