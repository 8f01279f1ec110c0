"""What commands say of a run whose reward is no accuracy, and of one that has an objective."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from metaqnn_orch import Search
from metaqnn_orch.reporting.summary import RunView, read_run
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli
from tests.control.world import Session, settings
from tests.reporting.regression import CHANCE, error_of, write_regression

LIMIT = {"soft_limits": {"params": {"reference": 1e4, "weight": 0.07}}}


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store", durable=False)


@pytest.fixture
def view(store: DirectoryStore) -> RunView:
    return write_regression(store)


def test_trials_have_rewards_and_measures_and_no_accuracy(store: DirectoryStore, view: RunView, cli: Cli) -> None:
    first, *rest = cli("trials", "test", "--store", store.uri, "-o", "json").json()
    assert list(first) == [
        *("trial", "net", "epsilon", "state", "reward", "params", "macs", "seconds", "started", "ended", "attempts"),
        *("estimated", "measured", "predicted", "spread", "measures"),
    ]
    assert (first["state"], first["reward"], first["measures"]) == ("untrainable", CHANCE, {})
    for row in rest:
        assert (row["reward"], row["measures"]) == (-error_of(row["net"]), {"mae": error_of(row["net"]), "state": 1.0})


def test_each_measure_has_a_column_that_hides_no_other(store: DirectoryStore, view: RunView, cli: Cli) -> None:
    first, *rest = csv.DictReader(io.StringIO(cli("trials", "test", "--store", store.uri, "-o", "csv").out))
    assert "val_accuracy" not in first
    assert (first["measure.mae"], first["state"], first["measure.state"]) == ("", "untrainable", "")
    for row in rest:
        assert (float(row["measure.mae"]), row["measure.state"]) == (error_of(row["net"]), "1.0")
        assert row["state"] == "completed"


def test_tables_call_it_reward(store: DirectoryStore, view: RunView, cli: Cli) -> None:
    heading, first, *_ = cli("trials", "test", "--store", store.uri).out.splitlines()
    assert heading.split() == ["trial", "state", "epsilon", "reward", "params", "seconds", "attempts", "net"]
    assert first.split()[3] == "-100.0000"
    assert view.state.best is not None
    last = cli("status", "test", "--store", store.uri).out.splitlines()[-1]
    assert last.split() == ["reward", f"{view.state.best.reward:.4f}"]


def test_status_says_reward_and_measures(store: DirectoryStore, view: RunView, cli: Cli) -> None:
    best = cli("status", "test", "--store", store.uri, "-o", "json").json()["best"]
    nets = [trial.net for trial in view.state.trials.values() if trial.state == "completed"]
    net = min(nets, key=error_of)
    assert best == {
        "reward": -error_of(net),
        "measures": {"mae": error_of(net), "state": 1.0},
        "net": net,
        "trial": view.state.by_net[net].trial,
        "trainings": 1,
        "mean_reward": -error_of(net),
        "confirmed": False,
    }


def test_explain_knows_the_best_of_negative_rewards(store: DirectoryStore, view: RunView, cli: Cli) -> None:
    found = cli("explain", "test", "--store", store.uri, "-o", "json").json()
    assert view.state.best is not None
    assert (found["best_trained"], found["best_reward"]) == (view.state.best.net, view.state.best.reward)
    assert found["best_accuracy"] is None


def test_a_frame_has_the_columns_of_the_file(store: DirectoryStore, view: RunView) -> None:
    pytest.importorskip("pandas")
    frame = Search("test", store.uri).frame()
    assert frame["reward"].max() == frame.loc[frame["measure.mae"].idxmin(), "reward"]
    assert "val_accuracy" not in frame


def test_a_replay_database_says_what_was_told(store: DirectoryStore, view: RunView, cli: Cli) -> None:
    rows = [*csv.DictReader(io.StringIO(cli("export-replay", "test", "--store", store.uri).out))]
    assert [float(row["reward"]) for row in rows] == [trial.reward for trial in view.state.presented]
    assert {row["accuracy_best_val"] for row in rows} == {"-1.0"}
    assert list(rows[0])[-3:] == ["reward", "measure.mae", "measure.state"]


def test_with_an_objective_accuracy_and_reward_differ(store: DirectoryStore, cli: Cli) -> None:
    Session(store, settings(objective=LIMIT)).run_to_end()
    rows = cli("trials", "test", "--store", store.uri, "-o", "json").json()
    assert all(row["reward"] == pytest.approx(row["val_accuracy"] * (row["params"] / 1e4) ** -0.07) for row in rows)
    assert "reward" in cli("trials", "test", "--store", store.uri).out.splitlines()[0]
    best = cli("status", "test", "--store", store.uri, "-o", "json").json()["best"]
    assert best["val_accuracy"] == best["measures"]["accuracy"] != best["reward"]


def test_a_bill_and_a_description_say_the_objective(tmp_path: Path, cli: Cli) -> None:
    chosen = (
        "--set",
        "objective.soft_limits.params.reference=1e6",
        "--set",
        "objective.soft_limits.params.weight=0.07",
    )
    words = "reward x (params / 1e+06)^-0.07"
    start = ("start", "digits", "--run", "one", "--store", tmp_path / "store", "--dry-run", *chosen, "--target", "1.5")
    bill = cli(*start, "--trial-seconds", "1")
    assert words in bill.out
    assert "1.5 reward" in bill.out
    assert cli(*start, "--trial-seconds", "1", "-o", "json").json()["objective"] == words
    assert cli("describe", "[SM(10)]", "--space", "digits", *chosen).out.splitlines()[-1] == f"objective: {words}"
    assert cli("describe", "[SM(10)]", "--space", "digits", *chosen, "-o", "json").json()["objective"] == words
    assert "objective" not in cli("describe", "[SM(10)]", "--space", "digits").out


def test_metrics_name_an_accuracy_only_where_there_is_one(store: DirectoryStore, view: RunView) -> None:
    pytest.importorskip("prometheus_client")
    from metaqnn_orch.reporting.metrics import Metrics

    Session(store, settings(), run="classified").run_to_end()
    for run, has_accuracy in (("test", False), ("classified", True)):
        state = read_run(store, run).state
        metrics = Metrics(run)
        metrics.begin(state, 12)
        assert state.best is not None
        found = metrics.registry.get_sample_value
        assert found("metaqnn_best_reward", {"run": run}) == state.best.reward
        assert (found("metaqnn_best_accuracy", {"run": run}) is not None) == has_accuracy
        for name, value in state.best.measures.items():
            assert found("metaqnn_best_measure", {"run": run, "measure": name}) == value


def test_finals_are_for_accuracies(store: DirectoryStore, view: RunView, cli: Cli) -> None:
    answer = cli("finals", "test", "--store", store.uri, "--set", "finals.epochs=2")
    assert "the task of run test is regression" in answer.refused()


def test_an_import_is_told_by_the_objective_or_not_at_all(tmp_path: Path, cli: Cli) -> None:
    file = tmp_path / "replay.csv"
    file.write_text('net,accuracy_best_val,ix_q_value_update,epsilon\n"[SM(10)]",0.5,1,1.0\n')
    store = str(tmp_path / "store")
    arguments = ("import-replay", file, "--run", "one", "--store", store, "--space", "digits")
    limit = ("--set", "objective.soft_limits.{0}.reference=650", "--set", "objective.soft_limits.{0}.weight=1")
    said = cli(*arguments, *(text.format("seconds") for text in limit)).refused()
    assert "needs the measure seconds" in said
    assert not Path(store, "runs").exists(), "nothing was begun"
    assert cli(*arguments, *(text.format("macs") for text in limit)).code == 0
    (row,) = cli("trials", "one", "--store", store, "-o", "json").json()
    assert (row["val_accuracy"], row["reward"]) == (0.5, pytest.approx(0.5 * 650 / 640))
