"""What a notebook sees of a search: one display that is updated, tables of runs and trials, and a handle."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from metaqnn_orch import Search
from metaqnn_orch.application.followed import Followed, progress
from metaqnn_orch.application.listener import LiveRun
from metaqnn_orch.application.notebook import trial_html
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import BadInput, RunHeld
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Session, settings
from tests.reporting.runs import write_run

POISON = "<script>alert(1)</script>"


def table(folder: Path) -> dict[str, Any]:
    path = folder / "accuracies.csv"
    path.write_text('net,accuracy\n"[SM(10)]",0.5\n"[C(64,3,1), SM(10)]",0.2\n')
    return {"store": folder / "runs", "launcher": "table", "table": path}


def test_a_trial_that_ends_is_told_and_an_error_in_that_damages_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Trial] = []

    def told(trial: Trial) -> None:
        seen.append(trial)
        trial.reward, trial.measures["accuracy"] = 99.0, 99.0
        raise ZeroDivisionError("mine")

    search = Search.start("svhn", run="one", settings={"schedule.total": 12}, on_trial=told, **table(tmp_path))
    assert [trial.trial for trial in seen] == [trial.trial for trial in search.trials]
    assert max(trial.reward or 0 for trial in search.trials) < 1
    assert search.status["state"] == "complete"
    assert "on_trial failed for trial" in caplog.text
    assert "ZeroDivisionError: mine" in caplog.text
    quiet = Search.start("svhn", run="two", settings={"schedule.total": 12}, **table(tmp_path))
    assert quiet.status["q_digest"] == search.status["q_digest"]


def test_in_the_background(tmp_path: Path) -> None:
    go, begun = threading.Event(), threading.Event()

    def told(trial: Trial) -> None:
        begun.set()
        assert go.wait(30)

    place = table(tmp_path)
    wanted = {"schedule.total": 12, "execution.parallel": 1}
    running = Search.start("svhn", run="one", settings=wanted, on_trial=told, block=False, **place)
    assert begun.wait(30)
    assert not running.done
    assert running.status["run"] == "one"
    assert "<table>" in running._repr_html_()
    with pytest.raises(TimeoutError, match=r"run one goes on after 0\.01 s"):
        running.wait(0.01)
    running.stop()
    go.set()
    stopped = running.wait(30)
    assert running.done
    assert repr(running) == "<Running one: ended>"
    assert 0 < stopped.state.unique < 12
    assert stopped.status["state"] == "interrupted"
    search = Search.start("svhn", run="one", settings=wanted, **place)
    assert search.state.unique == 12


def test_errors_are_raised_where_they_can_be_handled(tmp_path: Path) -> None:
    place = table(tmp_path)
    with pytest.raises(BadInput, match="a table needs the table launcher"):
        Search.start("svhn", run="one", block=False, **{**place, "launcher": "local"})
    go = threading.Event()

    def told(trial: Trial) -> None:
        assert go.wait(30)

    first = Search.start("svhn", run="one", settings={"schedule.total": 12}, on_trial=told, block=False, **place)
    while first.status["state"] != "running":
        time.sleep(0.02)
    second = Search.start("svhn", run="one", settings={"schedule.total": 12}, block=False, **place)
    with pytest.raises(RunHeld):
        second.wait(60)
    assert repr(second) == "<Running one: failed>"
    go.set()
    assert first.wait(60).state.unique == 12


def test_runs_and_trials_show_themselves_and_escape_what_is_foreign(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    Session(store, settings()).run_to_end()
    search = Search("test", tmp_path)
    best = search.best
    assert best is not None
    best.curve = [0.1, 0.4, 0.3]
    best.trouble = POISON
    shown = search._repr_html_()
    assert "3 epochs: 0.1000 after the first, 0.3000 after the last, 0.4000 at best, after epoch 2" in shown
    assert shown.count("<tr>") == 2 + 1 + 5
    alone = trial_html(best)
    assert POISON not in alone
    assert "&lt;script&gt;" in alone
    for text in (shown, alone, trial_html(Trial("0" * 12, POISON, None))):
        assert not any(part in text for part in ("<script", "http", "<style", "href", "src="))


def test_a_display_is_updated_and_one_that_goes_away_is_no_harm(tmp_path: Path) -> None:
    class Place:
        def __init__(self, times: int) -> None:
            self.times = times
            self.seen: list[str] = []

        def update(self, obj: Any) -> None:
            self.seen.append(obj._repr_html_())
            if len(self.seen) > self.times:
                raise OSError("the browser is closed")

    starting = Place(99)
    Followed(None, starting).say("dataset <digits> is made")
    assert starting.seen == ["<div>dataset &lt;digits&gt; is made</div>"], "a sign of life, before the run is there"
    for times in (0, 99):
        session, place = Session(DirectoryStore(tmp_path / str(times)), settings()), Place(times)
        session.open()
        with Followed(None, place).follow(LiveRun(session.record, session.state, foot="", now=lambda: "now")) as view:
            session.run_to_end()
            view.refresh()
        assert len(place.seen) == (1 if times == 0 else 2)
    assert "0 of 12 nets" in place.seen[0] or "12 of 12 nets" in place.seen[0]


def test_nets_of_a_search_that_was_stopped_wait(tmp_path: Path) -> None:
    view = write_run(DirectoryStore(tmp_path))
    assert "1 in training" in progress(view.record, view.state)
    assert "1 waiting" in progress(view.record, view.state, works=False)


CELL = """
from metaqnn_orch import Search
place = dict(store={store!r}, launcher="table", table={table!r})
search = Search.start("svhn", run="one", settings={{"schedule.total": 12}}, **place)
search
"""


def test_in_a_real_kernel(tmp_path: Path) -> None:
    """One display, updated in place, and then the run as a table."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")

    place = table(tmp_path)
    cell = CELL.format(store=str(place["store"]), table=str(place["table"]))
    book = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, (cell, "search.best"))])
    # A kernel takes two seconds of computing: nothing is waited for beside that, neither its history nor its farewell.
    quick = {"extra_arguments": ["--HistoryManager.enabled=False"], "shutdown_kernel": "immediate"}
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3", **quick).execute()
    outputs = [output for output in book.cells[0].outputs if output.output_type != "stream"]
    assert [output.output_type for output in outputs] == ["display_data", "execute_result"]
    progress, run = (output.data["text/html"] for output in outputs)
    assert "12 of 12 nets" in progress
    assert "complete" in run
    assert "<th" in book.cells[1].outputs[0].data["text/html"], "a trial is a table"
