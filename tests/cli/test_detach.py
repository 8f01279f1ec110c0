"""start --detach: a search that goes on after its terminal has closed, and how it is followed, read and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from metaqnn_orch.application.detaching import KEPT, LOG_VARIABLE, detach, logs_in, read_log
from metaqnn_orch.application.machine import folder_of
from metaqnn_orch.errors import BadInput
from tests.cli.conftest import Answer, Cli, program
from tests.launchers.harness import until

TABLE = 'net,accuracy\n"[C(16,3,1), SM(10)]",0.5\n"[C(32,3,1), SM(10)]",0.6\n"[C(64,3,1), SM(10)]",0.7\n'


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def start(place: Path, *more: str, delay: int = 30) -> Answer:
    (place / "table.csv").write_text(TABLE)
    table = ("--launcher=table", f"--table={place / 'table.csv'}", f"--table-delay={delay}")
    return program("start", "digits", "--run=bg", f"--store={place / 'store'}", *table, "--detach", *more)


def test_it_goes_on_and_is_followed_read_held_and_cancelled(tmp_path: Path, state: Path, cli: Cli) -> None:
    pid = start(tmp_path, "-o", "json").json()["pid"]
    try:
        assert os.getsid(pid) == pid, "it has a session of its own, which no terminal closes"
        where = ("--store", tmp_path / "store")
        logged = cli("logs", "bg", *where).out
        assert "0 of 16 nets trained" in logged
        stops = f"metaqnn-orch cancel bg --store {tmp_path / 'store'} stops, the same command goes on"
        assert stops in logged, "no Ctrl-C reaches it"
        second = start(tmp_path)
        assert second.code == 4
        assert f"held by process {pid}" in second.err
        assert len(logs_in(folder_of(str(tmp_path / "store"), "bg"))) == 1, "the second one leaves no log"
        cancelled = cli("cancel", "bg", *where)
        assert f"process {pid} on" in cancelled.err
        assert "has ended" in cancelled.err
        assert "taken over" in cli("logs", "bg", *where, "--tail=2").out
        answer = cli("attach", "bg", *where)
        assert (answer.code, "nobody works on run bg" in answer.err) == (6, True)
    finally:
        end(pid)


@pytest.mark.parametrize("limit", ["--max-trials=2", "--target=0.1"])
def test_a_search_that_has_nothing_left_to_do_answers_a_script_too(limit: str, tmp_path: Path, state: Path) -> None:
    """It was complete before, or has reached its target."""
    table = ("--launcher=table", f"--table={tmp_path / 'table.csv'}")
    (tmp_path / "table.csv").write_text(TABLE)
    assert program("start", "digits", "--run=bg", f"--store={tmp_path / 'store'}", *table, limit).code == 0
    answer = start(tmp_path, limit, "-o", "json", delay=0)
    assert (answer.json()["run"], answer.json()["log"]) == ("bg", "")
    assert "best architecture" in answer.err if limit == "--target=0.1" else "nothing is left to do" in answer.err
    assert '"q_digest"' not in answer.err, "people read what the search says"
    assert start(tmp_path, limit, delay=0).out == ""


def test_sigterm_ends_it_as_any_search(tmp_path: Path, state: Path, cli: Cli) -> None:
    pid = start(tmp_path, "-o", "json").json()["pid"]
    end(pid, signal.SIGTERM)
    assert "the same command goes on with it" in cli("logs", "bg", "--store", tmp_path / "store").out
    assert cli("status", "bg", "--store", tmp_path / "store", "-o", "json").json()["holder"] is None


def test_what_is_wrong_is_said_by_the_command_itself(tmp_path: Path, state: Path) -> None:
    answer = start(tmp_path, "--set=recipe.epochs=none")
    assert answer.code == 2
    assert "recipe.epochs" in answer.err
    assert not (tmp_path / "store").exists()
    assert [*state.rglob("*.log")] == []


def test_a_state_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="the log of the search cannot be written") as refused:
        detach([], tmp_path / "file" / "run", lambda pid: True, print)
    assert "XDG_STATE_HOME" in refused.value.hint


def test_what_it_says_before_it_works_is_passed_on_and_the_last_logs_stay(tmp_path: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        speaks = (sys.executable, "-c", "print('a line'); print('an end', end=''); raise SystemExit(7)")
        assert detach([], tmp_path, lambda pid: False, said.append, speaks).code == 7
    assert said == ["a line", "an end"] * 2
    assert logs_in(tmp_path) == []
    for number in range(KEPT + 2):
        (tmp_path / f"search-2026010{number}T000000-0000.log").touch()
    waits = (sys.executable, "-c", "import time; time.sleep(60)")
    found = detach([], tmp_path, lambda pid: True, said.append, waits)
    found.process.kill()
    found.process.wait()
    assert len(logs_in(tmp_path)) == KEPT


@pytest.mark.parametrize("unbuffered", ["1", ""])
def test_a_log_is_bounded_and_loses_nothing_at_its_end(tmp_path: Path, unbuffered: str) -> None:
    log = tmp_path / "search.log"
    talks = (
        "import os, time\n"
        "from metaqnn_orch.application.detaching import bounded_log\n"
        "with bounded_log(os.environ, most=4_000, pause=0.01):\n"
        "    for number in range(300):\n"
        "        for _ in range(20):\n"
        "            print(number, end=' ')\n"
        "            time.sleep(0.00002)\n"
        "        print(number)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, LOG_VARIABLE: str(log), "PYTHONUNBUFFERED": unbuffered}
    with log.open("ab") as sink:
        subprocess.run([sys.executable, "-c", talks], stdout=sink, env=environment, check=False)
    said = read_log(log)
    first = int(said[0].rpartition(" ")[2])
    assert first > 0
    assert said == [" ".join([str(number)] * 21) for number in range(first, 300)], "whole lines, to the last"


def test_a_log_that_is_cut_while_it_is_read_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, earlier = tmp_path / "search.log", tmp_path / "search.log.1"
    log.write_text("one\ntwo\n")
    read = Path.read_bytes

    def cut_after(path: Path) -> bytes:
        try:
            return read(path)
        finally:
            if path == earlier and not earlier.exists():
                log.replace(earlier)
                log.write_text("three\n")

    monkeypatch.setattr(Path, "read_bytes", cut_after)
    assert read_log(log) == ["one", "two", "three"]


def end(pid: int, number: int = signal.SIGKILL) -> None:
    """End the process, if it is there, and wait until it has ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    until(lambda: _is_gone(pid))


def _is_gone(pid: int) -> bool:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        time.sleep(0.01)
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
