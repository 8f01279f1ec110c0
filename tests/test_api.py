"""The front door for Python, and that its page tells the truth."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from metaqnn_orch import Search
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import BadInput, NotFound, SettingsError
from metaqnn_trainer.store.directory import DirectoryStore
from tests import forked
from tests.cli.conftest import Trained, needs_trainer, trained
from tests.control.world import Session, settings

__all__ = ["trained"]

PAGE = Path(__file__).parents[1] / "docs" / "python.md"


@pytest.fixture
def store(tmp_path: Path) -> str:
    """With the run `test`, complete, and `other`, not begun."""
    store = DirectoryStore(tmp_path / "store")
    Session(store, settings()).run_to_end()
    Session(store, settings(), run="other").open()
    return store.uri


def test_a_run_is_opened(store: str) -> None:
    search = Search("test", store)
    assert len(search.trials) == 12
    assert all(isinstance(trial, Trial) for trial in search.trials)
    assert search.best is search.leaderboard(1)[0]
    assert repr(search) == f"<Search test: 12 nets, best {search.best.val_accuracy:.4f}>"
    assert search.status["state"] == "complete"
    assert search.settings.schedule == settings().schedule
    assert {entry.updates > 0 for entry in search.q_table} == {True}
    assert search.explain().moves
    assert search.verdict is None


def test_trials_are_a_frame(store: str) -> None:
    pytest.importorskip("pandas", reason="needs the extra: metaqnn-orch[notebook]")
    frame = Search("test", store).frame()
    assert len(frame) == 12
    assert frame.loc[Search("test", store).best.trial].val_accuracy == frame.val_accuracy.max()  # type: ignore[union-attr]


def test_it_looks_again(store: str) -> None:
    search = Search("other", store)
    assert (search.best, repr(search)) == (None, "<Search other: 0 nets>")
    Session(DirectoryStore(store), settings(), run="other").run_to_end()
    assert search.best is None
    assert search.refresh().best is not None


def test_what_is_not_there_is_said_as_the_commands_say_it(store: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no run 'tset'") as refused:
        Search("tset", store)
    assert refused.value.hint == "did you mean test? runs there: other, test"
    with pytest.raises(SettingsError, match=r"unknown setting recipe\.epoch"):
        Search.start("digits", run="new", store=store, settings={"recipe.epoch": 3})
    with pytest.raises(BadInput, match="has no trained net yet"):
        Search("other", store).export(tmp_path / "x.onnx")
    with pytest.raises(BadInput, match=r"x\.txt ends in none of \.onnx"):
        Search("test", store).export(tmp_path / "x.txt")


def test_the_pages_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    nets = ("[SM(10)]", "[C(64,3,1), SM(10)]", "[C(64,3,1), P(2,2), SM(10)]", "[C(512,5,1), GAP(10), SM(10)]")
    Path("accuracies.csv").write_text("net,accuracy\n" + "".join(f'"{net}",0.{n + 2}\n' for n, net in enumerate(nets)))
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert len(names["frame"]) == 40
    assert repr(names["search"]) in PAGE.read_text()
    assert names["rows"]


INTERRUPTED = """
import asyncio, logging, os, sys, threading, time
from metaqnn_orch import Search

logging.basicConfig(level=logging.INFO)
settings = {"space.max_layers": 2, "space.max_macs": 200_000, "recipe.epochs": 30, "recipe.max_rates": 1}
settings |= {"execution.parallel": 1, "execution.max_trials": int(sys.argv[3])}

def start():
    return Search.start("digits", run="first", store=sys.argv[1], settings=settings)

async def in_a_loop():
    return start()

def names():  # the watcher of an idle store ends by itself, some seconds later
    return [t.name for t in threading.enumerate() if t.name != "silence of the store"]

ways = {"plainly": start, "in a loop": lambda: asyncio.run(in_a_loop())}
try:
    ways[sys.argv[2]]()
except KeyboardInterrupt:
    left = Search("first", sys.argv[1]).status if os.path.exists(sys.argv[1] + "/runs/first/run.json") else None
    children = open(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read().split()
    print("interrupted", left and left["holder"], children, names(), flush=True)
settings["execution.max_trials"] = 1
print(ways[sys.argv[2]]().status["state"], "found again")
"""


@needs_trainer
@pytest.mark.parametrize("way", ["plainly", "in a loop"])
@pytest.mark.parametrize(
    ("moment", "times", "says"),
    [
        ("making it", 1, ""),
        ("0 of", 1, "stopping: waiting for the trials in training"),
        ("0 of", 2, "stopping at once"),
    ],
)
def test_an_interrupt_leaves_a_run_in_order_and_is_not_swallowed(
    way: str, moment: str, times: int, says: str, tmp_path: Path, trained: Trained
) -> None:
    """And the same process may go on with it: nothing holds the run, nothing was left behind."""
    if moment != "making it":
        shutil.copytree(trained.store / "datasets", tmp_path / "store" / "datasets")
    process = subprocess.Popen(
        [forked.PYTHON, "-c", INTERRUPTED, str(tmp_path / "store"), way, "500"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = ""
    while moment not in said:
        said += (line := process.stderr.readline())
        assert line, said
    for _ in range(times):
        time.sleep(0.3)  # two at once may arrive as one
        process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert out == "interrupted None [] ['MainThread']\ncomplete found again\n", err
    assert says in err
    assert "Traceback" not in err


IN_A_THREAD = (
    INTERRUPTED.partition("ways =")[0]
    + """
thread = threading.Thread(target=start)
thread.start()
while thread.is_alive():
    time.sleep(0.1)
"""
)


@needs_trainer
def test_a_search_in_a_thread_ends_with_the_main_thread(tmp_path: Path, trained: Trained) -> None:
    shutil.copytree(trained.store / "datasets", tmp_path / "store" / "datasets")
    process = subprocess.Popen(
        [forked.PYTHON, "-c", IN_A_THREAD, str(tmp_path / "store"), "", "500"], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    while "0 of" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    err = process.communicate()[1]
    assert "stopping at once" in err
    assert "RuntimeError" not in err
    assert Search("first", tmp_path / "store").status["state"] == "interrupted"


def test_the_front_door_costs_nothing_until_it_is_opened() -> None:
    program = "import metaqnn_orch, sys; assert 'metaqnn_orch.api' not in sys.modules; metaqnn_orch.Search; print('ok')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "ok\n"
