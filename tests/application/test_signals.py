"""What the program does when it is asked to stop, by real processes; a search's own part is in test_stopping.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from metaqnn_orch.application.signals import Stopped, surely, surely_closing
from metaqnn_trainer.contract.errors import PluginError
from metaqnn_trainer.plugins import imported
from metaqnn_trainer.signals import STOPS, unbroken
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import PROGRAM, Answer, clean_environment, needs_trainer, tree
from tests.control.world import Session, settings
from tests.launchers.harness import until

CODES = [
    (signal.SIGINT, 130, ""),
    (signal.SIGTERM, 143, "stopped by SIGTERM\n"),
    (signal.SIGHUP, 129, "stopped by SIGHUP\n"),
]


class Program:
    """The program, running by itself."""

    def __init__(self, *arguments: object, before: Sequence[str] = ()) -> None:
        self._process = subprocess.Popen(
            [*before, PROGRAM, *map(str, arguments)],
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # What a shell starts in the background ignores Ctrl-C, and so would whatever that starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def children(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def until_it_says(self, words: str) -> str:
        assert self._process.stderr is not None
        said = ""
        while words not in said:
            line = self._process.stderr.readline()
            assert line, said
            said += line
        return said

    def end(self) -> Answer:
        out, err = self._process.communicate()
        return Answer(self._process.returncode, out, err)


@pytest.fixture
def under_way(tmp_path: Path) -> DirectoryStore:
    """A store with the run `test`, which somebody elsewhere works on."""
    store = DirectoryStore(tmp_path / "store")
    Session(store, settings()).open()
    return store


@pytest.mark.parametrize(("number", "code", "said"), CODES)
def test_whoever_watches_is_stopped(number: int, code: int, said: str, under_way: DirectoryStore) -> None:
    watching = Program("status", "test", "--watch", "--store", under_way.uri)
    watching.until_it_says("no orchestrator works on the run")
    watching.send(number)
    answer = watching.end()
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.endswith(said)
    assert "Traceback" not in answer.err


@needs_trainer
@pytest.mark.parametrize(("number", "code", "said"), CODES)
def test_a_dataset_is_made_whole_or_not_at_all(number: int, code: int, said: str, tmp_path: Path) -> None:
    pushing = Program("dataset", "push", "digits", "--store", tmp_path / "store")
    until(lambda: bool(pushing.children()))
    (trainer,) = pushing.children()
    until(lambda: b"metaqnn_trainer" in Path(f"/proc/{trainer}/cmdline").read_bytes())
    time.sleep(0.2)
    pushing.send(number)
    assert pushing.end() == (code, "", said)
    assert not Path(f"/proc/{trainer}").exists(), "nobody waits for it"
    assert [path for path in tree(tmp_path) if "safetensors" in path] == []


def rehearsal(directory: Path) -> list[str]:
    """`start` for twelve nets, a fifth of a second each."""
    nets = [f"[C({filters},{kernel},1), SM(10)]" for filters in (16, 32, 64) for kernel in (1, 3, 5)]
    nets += [net.replace("SM", "GAP(10), SM") for net in nets]
    (directory / "table.csv").write_text("net,accuracy\n" + "".join(f'"{net}",0.5\n' for net in nets))
    flags = ("--max-trials=12", "--parallel=1", "--table-delay=0.2", "--set=space.max_layers=1")
    where = ("--launcher=table", f"--table={directory / 'table.csv'}", "--store", str(directory / "store"))
    return ["start", "digits", "--run=first", *where, *flags]


def test_under_nohup_the_terminal_may_go(tmp_path: Path) -> None:
    searching = Program(*rehearsal(tmp_path), before=["nohup"])
    searching.until_it_says("1/12")
    searching.send(signal.SIGHUP)
    searching.until_it_says("3/12")
    searching.send(signal.SIGTERM)
    answer = searching.end()
    assert answer.code == 143
    assert "the terminal was closed" not in answer.err


@pytest.mark.parametrize(("number", "code"), [(number, code) for number, code, _ in CODES])
def test_a_search_stopped_at_any_moment_lets_the_next_one_begin(number: int, code: int, tmp_path: Path) -> None:
    """While it is loaded, while it begins, while it searches: no traceback, and nobody holds the run."""
    for moment in (0.0, 0.15, 0.3, 0.6):
        searching = Program(*rehearsal(tmp_path))
        until(lambda: "pydantic" in Path(f"/proc/{searching.pid}/maps").read_text())  # noqa: B023
        time.sleep(moment)
        searching.send(number)
        answer = searching.end()
        assert "Traceback" not in answer.err, moment
        # Where SIGINT came while a text was executed, as when a data class is made, Python ends by that signal.
        codes = {code, -number} if number == signal.SIGINT else {code}
        assert answer.code in codes, (moment, answer.err)
        holder = tmp_path / "store/runs/first/holder.json"
        assert not holder.exists() or json.loads(holder.read_text())["released"], moment


@pytest.mark.parametrize(("times", "whole"), [(1, True), (2, False)])
def test_what_must_be_done_whole_is_unless_somebody_insists(times: int, whole: bool) -> None:
    class Thing:
        closed = False

        def close(self) -> None:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
            self.closed = True

    thing = Thing()
    before = [signal.getsignal(number) for number in STOPS]
    with pytest.raises(KeyboardInterrupt), surely_closing(thing):
        pass
    assert thing.closed is whole
    assert [signal.getsignal(number) for number in STOPS] == before
    with pytest.raises(ZeroDivisionError), unbroken():
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in STOPS] == before


def test_what_is_being_made_when_a_signal_comes_is_left_all_the_same() -> None:
    left = []

    @contextmanager
    def made() -> Iterator[None]:
        signal.raise_signal(signal.SIGINT)
        try:
            yield
        finally:
            left.append("left")

    with pytest.raises(KeyboardInterrupt), surely(made):
        pytest.fail("the block began")
    assert left == ["left"]


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("then", ["", "1 / 0", "raise SystemExit(3)"])
@pytest.mark.parametrize("number", STOPS)
def test_a_signal_is_no_fault_of_what_is_imported_meanwhile(
    number: signal.Signals, then: str, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = "import signal\n" + f"signal.raise_signal({int(number)})\n" * times + then
    (tmp_path / f"{tmp_path.name}.py").write_text(raised)
    monkeypatch.syspath_prepend(tmp_path)

    def stop(received: int, _: object) -> None:
        raise Stopped(received)

    before = signal.signal(number, stop)
    try:
        with pytest.raises(Stopped):
            imported(tmp_path.name)
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("leaves", ["raise SystemExit(3)", "raise KeyboardInterrupt('now')", "1 / 0"])
def test_what_is_imported_cannot_end_the_program(leaves: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "leaves.py").write_text(leaves)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=r"SystemExit: 3|KeyboardInterrupt: now|ZeroDivisionError: "):
        imported("leaves")
