from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from metaqnn_orch.control.holder import Hold, read_holder, this_process
from metaqnn_orch.search.searchers.q_learning import QLearning
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import (
    PROGRAM,
    TINY,
    Answer,
    Cli,
    Trained,
    clean_environment,
    needs_trainer,
    settings_file,
    tree,
)
from tests.control.world import settings, told_order
from tests.launchers.harness import PATIENCE


class Start:
    """`start TINY --run first`, running by itself; killed, if it still runs, when the test is over."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._process = subprocess.Popen(
            [PROGRAM, "start", *TINY, "--run=first", "--store", store],
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Start:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def until_it_trains(self) -> int:
        """The number of the worker's process, as soon as there is one, and the search works on the run."""
        deadline = time.monotonic() + PATIENCE
        journal = self._store / "runs" / "first" / "journal"
        while not (workers := Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()) or not (
            journal.exists()
        ):
            assert time.monotonic() < deadline, "it never trained anything"
            time.sleep(0.02)
        return int(workers[0])

    def end(self) -> Answer:
        out, err = self._process.communicate()
        return Answer(self._process.returncode, out, err)


@needs_trainer
def test_a_search_on_real_data(trained: Trained) -> None:
    found = trained.answer.json()
    assert (found["run"], found["state"]) == ("first", "complete")
    assert (found["unique"], found["goal"], found["in_flight"], found["failed"]) == (5, 5, 0, 0)
    assert found["told"] >= 5
    assert found["best"]["val_accuracy"] > 0.5
    assert found["holder"] is None


@needs_trainer
def test_progress_is_plain_lines_in_a_pipe(trained: Trained) -> None:
    made, searches, begins, leave, *told = trained.answer.err.splitlines()
    assert made == f"dataset digits is not in {trained.store} yet: making it"
    assert searches == f"searching by {QLearning.summary} (docs/search.md)"
    assert begins == "run first on digits: 0 of 5 nets trained, 1 at a time (local)"
    assert leave == "Ctrl-C stops, the same command goes on"
    outcome = r"(?:0\.\d{4}     |untrainable)"
    line = rf"([1-5])/5  epsilon [01]\.[05]0  {outcome}   +[\d,]+ params +[\d.]+ s  \[.*\](?:  best so far)?"
    assert [re.fullmatch(line, text)[1] for text in told] == list("12345")  # type: ignore[index]


@needs_trainer
def test_a_complete_run_says_so_at_once(mine: Path, cli: Cli) -> None:
    before = journal(mine)
    answer = cli("start", *TINY, "--run=first", "--store", mine)
    assert answer.code == 0
    heading, *rows = answer.out.splitlines()
    assert heading.split() == ["rank", "val", "accuracy", "params", "seconds", "epsilon", "net"]
    assert [row.split()[0] for row in rows] == list("12345")
    accuracies = [float(row.split()[1]) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    best = rows[0][rows[0].index("[") :]
    first, *rest = answer.err.splitlines()
    assert first == "run first is complete, nothing is left to do"
    assert f"best architecture: {best}" in rest
    assert f"validation accuracy: {accuracies[0]:.4f}" in rest
    assert f"  metaqnn-orch pull first --store {mine} --top 3 --to ./best   # weights of the best three" in rest
    assert journal(mine) == before


@needs_trainer
def test_what_takes_too_long_is_timed_out_with_its_best_epoch(mine: Path, cli: Cli) -> None:
    slow = ("--max-trials=2", "--set=recipe={epochs: 10000, chance_factor: 1}", "--set=execution.time_limit_seconds=2")
    answer = cli("start", *TINY, "--run=slow", "--store", mine, *slow)
    assert answer.code == 0, answer.err
    assert "timed out" in answer.err
    first, second = cli("trials", "slow", "--store", mine, "-o", "json").json()
    assert {(trial["state"], trial["attempts"]) for trial in (first, second)} == {("timed_out", 1)}
    assert second["val_accuracy"] > 0.1, "the first one's time may have gone to the worker's start"
    assert second["seconds"] >= 2


@needs_trainer
def test_a_run_stopped_in_every_way_ends_like_one_that_never_was(trained: Trained, tmp_path: Path, cli: Cli) -> None:
    store = tmp_path / "store"
    shutil.copytree(trained.store / "datasets", store / "datasets")

    with Start(store) as start:
        moment = random.uniform(0, 2)
        print(f"kill -9 after {moment} seconds")  # of use when it fails
        time.sleep(moment)

    with Start(store) as start:
        start.until_it_trains()
        start.signal(signal.SIGTERM)
        answer = start.end()
        assert answer.code == 143
        assert "stopping at once\n" in answer.err
        assert "run first was stopped; the same command goes on with it" in answer.err

    with Start(store) as start:
        start.until_it_trains()
        start.signal(signal.SIGINT)
        start.signal(signal.SIGINT)
        assert start.end().code == 130

    with Start(store) as start:
        start.until_it_trains()
        start.signal(signal.SIGHUP)
        answer = start.end()
        assert answer.code == 129
        assert "stopping at once: the terminal was closed\n" in answer.err

    with Start(store) as start:
        start.until_it_trains()
        before = journal(store)
        refusal = cli("start", *TINY, "--run=first", "--store", store).refused(4)
        assert refusal.startswith(f"run first is held by process {start.pid} on ")
        assert journal(store) == before
        assert status(cli, store)["holder"].startswith(f"process {start.pid} on ")
        assert status(cli, store)["state"] == "running"
        start.signal(signal.SIGINT)
        answer = start.end()
        assert answer.code == 130
        assert "stopping: waiting for the trials in training; Ctrl-C again leaves at once" in answer.err
        now = status(cli, store)
        assert (now["state"], now["in_flight"], now["holder"]) == ("interrupted", 0, None)
        assert now["unique"] >= 1

    with Start(store) as start:
        os.kill(start.until_it_trains(), signal.SIGKILL)  # before it was ready: it costs no attempt
        assert start.end().code == 0

    assert told_order(DirectoryStore(store), "first") == told_order(DirectoryStore(trained.store), "first")
    found, twin = status(cli, store), status(cli, trained.store)
    for same in ("state", "told", "unique", "failed", "attempts_lost", "best", "q_digest"):
        assert found[same] == twin[same], same


@pytest.fixture
def rehearsal(tmp_path: Path) -> list[str]:
    """`start` for twelve nets, one at a time and a twentieth of a second each, from a table of all there are."""
    convolutions = ["", *(f"C({filters},{kernel},1), " for filters in (16, 32, 64) for kernel in (1, 3, 5))]
    nets = [f"[{first}{second}SM(10)]" for first in convolutions for second in ("", "GAP(10), ")]
    table = tmp_path / "table.csv"
    table.write_text("net,accuracy\n" + "".join(f'"{net}",0.{number}\n' for number, net in enumerate(nets, 10)))
    flags = ("--max-trials=12", "--parallel=1", "--table-delay=0.05", "--set=space.max_layers=1")
    return ["start", "digits", "--run=first", "--launcher=table", f"--table={table}", *flags]


def test_kill_9_at_random_moments_changes_nothing_that_is_learned(
    rehearsal: list[str], tmp_path: Path, cli: Cli
) -> None:
    twin, store = tmp_path / "twin", tmp_path / "store"
    assert cli(*rehearsal, "--store", twin).code == 0
    for _ in range(6):
        moment = random.uniform(0.3, 0.9)
        print(f"kill -9 after {moment} seconds")  # of use when it fails
        with subprocess.Popen(
            [PROGRAM, *rehearsal, "--store", store], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        ) as process:
            time.sleep(moment)
            process.kill()
    assert cli(*rehearsal, "--store", store).code == 0
    assert told_order(DirectoryStore(store), "first") == told_order(DirectoryStore(twin), "first")
    found, undisturbed = status(cli, store), status(cli, twin)
    for same in ("state", "told", "unique", "failed", "best", "q_digest"):
        assert found[same] == undisturbed[same], same


def test_a_run_may_end_early_and_go_on_later(rehearsal: list[str], tmp_path: Path, cli: Cli) -> None:
    early = cli(*rehearsal, "--store", tmp_path / "store", "--max-trials=5", "-o", "json").json()
    assert (early["state"], early["unique"], early["goal"]) == ("complete", 5, 5)
    later = cli(*rehearsal, "--store", tmp_path / "store", "-o", "json").json()
    assert (later["state"], later["unique"], later["goal"]) == ("complete", 12, 12)
    assert cli(*rehearsal, "--store", tmp_path / "twin", "-o", "json").json()["q_digest"] == later["q_digest"]


def test_of_several_that_start_at_once_one_goes_on(rehearsal: list[str], tmp_path: Path, cli: Cli) -> None:
    command = [str(PROGRAM), *rehearsal, "--store", str(tmp_path / "store")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate()[1] for process in started]
    codes = [process.returncode for process in started]
    assert set(codes) <= {0, 4}, said
    assert 0 in codes
    for code, err in zip(codes, said, strict=True):
        if code == 4:
            assert re.search(r"error: run first (is held|was taken over) by process \d+ on ", err)
    found = status(cli, tmp_path / "store")
    assert (found["state"], found["unique"]) == ("complete", 12)
    assert len(set(told_order(DirectoryStore(tmp_path / "store"), "first"))) == 12


@needs_trainer
def test_changed_settings_are_refused_line_by_line_and_change_nothing(mine: Path, cli: Cli) -> None:
    before = tree(mine)
    changed = ("--seed=7", "--set=recipe.epochs=3", "--set=space.max_params=100000")
    answer = cli("start", *TINY, *changed, "--run=first", "--store", mine)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.splitlines() == [
        "error: run 'first' exists, but with other settings:",
        "  space.max_params: null -> 100000",
        "  recipe.epochs: 2 -> 3",
        "  seed: 0 -> 7",
        "hint: go on with the settings of the run, or give the new search another name",
    ]
    assert tree(mine) == before


def test_how_the_work_is_done_may_change(finished: DirectoryStore, tmp_path: Path, cli: Cli) -> None:
    own = settings_file(tmp_path, settings())
    flags = ("--parallel=7", "--max-trials=12", "--set=execution.retries=0")
    answer = cli("start", own, *flags, "--run=test", "--store", finished.uri, "-o", "json")
    assert answer.json()["state"] == "complete"


@pytest.mark.parametrize("flags", [("--max-trials=11",), ("--max-trials=1000",), ()])
def test_a_run_that_reached_its_goal_is_complete(
    flags: tuple[str, ...], finished: DirectoryStore, tmp_path: Path, cli: Cli
) -> None:
    own = settings_file(tmp_path, settings())
    answer = cli("start", own, *flags, "--run=test", "--store", finished.uri)
    assert answer.code == 0
    assert answer.err.startswith("run test is complete, nothing is left to do\n12 nets trained, ")


def test_a_run_held_by_somebody_alive_is_left_alone(finished: DirectoryStore, tmp_path: Path, cli: Cli) -> None:
    held = Hold(finished, "test", this_process("another", "yesterday"), time.monotonic)
    held.beat("yesterday")
    before = read_holder(finished, "test")
    own = settings_file(tmp_path, settings())
    refusal = cli("start", own, "--run=test", "--store", finished.uri).refused(4)
    assert refusal == f"run test is held by process {os.getpid()} on {held.me.host}, last heard of at yesterday"
    assert read_holder(finished, "test") == before


def test_a_damaged_journal_has_its_own_exit_code(finished: DirectoryStore, tmp_path: Path, cli: Cli) -> None:
    finished.put(keys.journal_entry("test", 2), b"\x1b[2Jnot an event\xff")
    own = settings_file(tmp_path, settings())
    answer = cli("start", own, "--run=test", "--store", finished.uri)
    assert keys.journal_entry("test", 2) in answer.refused(3)
    assert cli("status", "test", "--store", finished.uri).refused(3) == answer.refused(3)


def journal(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (store / "runs" / "first" / "journal").iterdir()}


def status(cli: Cli, store: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli("status", "first", "--store", store, "-o", "json").out)
    return found
