"""What a person sees of a confirmation."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from rich.console import Console

from metaqnn_orch.application.listener import LiveRun
from metaqnn_orch.cli.screen import Screen
from metaqnn_orch.cli.view import SearchView
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.surroundings import Outcome
from metaqnn_orch.reporting.standing import standing
from metaqnn_orch.reporting.summary import read_run
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import Cli, settings_file
from tests.control.confirming import NETS, REPEATS, TOP, OneWasLucky, confirming, the_lucky_one, unlucky
from tests.control.world import ScriptedLauncher, Session

AGAIN = TOP * REPEATS


def test_status_trials_and_pull_agree(store: DirectoryStore, tmp_path: Path, cli: Cli) -> None:
    session = unlucky(store)
    best = session.state.best
    assert best is not None
    mean = f"{best.worth:.4f} (mean of {1 + REPEATS})"
    lines = cli("status", "test", "--store", store.uri).out.splitlines()
    words = {line[:16].strip(): line[16:].strip() for line in lines}
    assert words["confirmations"] == f"{AGAIN} of {AGAIN}"
    assert (words["best net"], words["val accuracy"]) == (best.net, mean)
    listed = cli("trials", "test", "--store", store.uri).out.splitlines()[1:]
    assert len(listed) == NETS + AGAIN
    assert sum(", confirms " in line for line in listed) == AGAIN
    assert sum(f", mean {best.worth:.4f} of {1 + REPEATS}" in line for line in listed) == 1
    answer = cli("pull", "test", "--store", store.uri, "--top", 2, "--to", tmp_path / "best")
    assert answer.code == 0
    assert f"the best, {mean}: " in answer.err
    first, second = csv.DictReader((tmp_path / "best" / "leaderboard.csv").read_text("utf-8").splitlines())
    assert (first["net"], first["trial"]) == (best.net, best.trainings[0].trial)
    assert first["mean_reward"] == str(best.worth)
    assert the_lucky_one(session).net not in (first["net"], second["net"])


def test_a_dry_run_has_it_on_the_bill(tmp_path: Path, cli: Cli) -> None:
    chosen = settings_file(tmp_path, confirming())
    arguments = ("start", chosen, "--run", "new", "--store", tmp_path / "new", "--dry-run", "--trial-seconds", 3600)
    found = cli(*arguments, "-o", "json").json()
    assert (found["confirming"]["nets"], found["nets"]) == (AGAIN, NETS + AGAIN)
    assert any(line.split()[:3] == ["to", "confirm", f"{AGAIN}"] for line in cli(*arguments).out.splitlines())


def test_the_screen_has_a_bar(store: DirectoryStore) -> None:
    unlucky(store)
    state = RunState(confirming())
    for event in Journal(store, "test").read():
        state.apply(event)
    written = io.StringIO()
    drawn = Screen("test", standing(state, "now"), 0.0, [], "the foot")
    Console(file=written, width=100).print(drawn)
    bar = next(line for line in written.getvalue().splitlines() if line.startswith("confirming"))
    assert f"{AGAIN} of {AGAIN}" in bar
    assert f"(mean of {1 + REPEATS})" in written.getvalue()


def test_the_ending_says_how_often_the_best_were_trained(store: DirectoryStore, tmp_path: Path, cli: Cli) -> None:
    unlucky(store)
    best = read_run(store, "test").state.best
    assert best is not None
    answer = cli("start", settings_file(tmp_path, confirming()), "--run", "test", "--store", store.uri)
    assert answer.code == 0
    head, first, *_ = answer.out.splitlines()
    assert head.split()[:6] == ["rank", "val", "accuracy", "mean", "of", "params"]
    assert first.split()[:3] == ["1", f"{best.worth:.4f}", f"{1 + REPEATS}"]
    assert f"the best confirmed by {AGAIN} of {AGAIN} further trainings" in answer.err
    assert f"validation accuracy: {best.worth:.4f} (mean of {1 + REPEATS})" in answer.err


def test_each_line_has_its_number_though_results_come_in_together(store: DirectoryStore) -> None:
    wanted = confirming()
    session = Session(store, wanted)
    session.open()
    written = io.StringIO()
    console = Console(file=written, width=200)
    view = SearchView(console, LiveRun(session.record, session.state, foot="the foot", now=lambda: "now"))
    session.on_event = view.happened
    assert session.search(ScriptedLauncher(store, OneWasLucky(), parallel=4)) is Outcome.GOAL
    lines = [line for line in written.getvalue().splitlines() if line.startswith("confirming")]
    assert lines[0] == f"confirming the best {TOP}: each is trained {REPEATS} times more"
    assert [line.split()[1:4] for line in lines[1:]] == [[str(n), "of", str(AGAIN)] for n in range(1, AGAIN + 1)]
