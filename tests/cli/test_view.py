from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from metaqnn_orch.application.listener import PACE, LiveRun
from metaqnn_orch.application.waits import LASTING, QUIET
from metaqnn_orch.cli.view import SearchView
from metaqnn_orch.control.events import Abandoned, Event, Failed, Opened, Proposed, Told
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.state import RunState
from metaqnn_orch.launchers.base import Phase
from metaqnn_trainer.contract.result import Prediction
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Session, settings

TRIAL = "0123456789ab"
OPENED = Opened(at="now", session="one", owner="me", version="0", goal=12, launcher="scripted", places=2)
PROPOSED = Proposed(step=0, epsilon=1.0, net="[SM(10)]", trial=TRIAL)
TOLD = Told(at="now", trial=TRIAL, attempt=1, status="completed", reward=0.5, params=650, macs=640, seconds=1.25)


def plain_text(written: io.StringIO) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.getvalue())


class Watched:
    """A view of a run that has just begun, and what it wrote."""

    def __init__(self, store: DirectoryStore, *, terminal: bool = False) -> None:
        session = Session(store, settings())
        session.open()
        self.written = io.StringIO()
        self.state = RunState(settings())
        console = Console(
            file=self.written, force_terminal=terminal, force_interactive=terminal, width=120, soft_wrap=True
        )
        self.seconds = 0.0
        self.works = True
        run = LiveRun(
            session.record,
            self.state,
            foot="Ctrl-C stops, the same command goes on",
            now=lambda: "now",
            works=lambda: self.works,
        )
        self.view = SearchView(console, run, monotonic=lambda: self.seconds)

    def happens(self, *events: Opened | Proposed | Told | Failed | Abandoned) -> list[str]:
        with self.view:
            for event in (OPENED, *events):
                self.seconds += 10
                self.state.apply(event)
                self.view.happened(event)
        return self.written.getvalue().splitlines()[2:]


def test_a_run_from_its_first_event_to_its_last(finished: DirectoryStore) -> None:
    watched = Watched(finished)
    with watched.view:
        for event in Journal(finished, "test").read():
            watched.state.apply(event)
            watched.view.happened(event)
    first, leave, *told = watched.written.getvalue().splitlines()
    assert first == "run test on digits: 0 of 12 nets trained, 2 at a time (scripted)"
    assert leave == "Ctrl-C stops, the same command goes on"
    assert [line.split()[0] for line in told] == [f"{number}/12" for number in range(1, 13)]
    best = [line for line in told if line.endswith("  best so far")]
    assert watched.state.best is not None
    assert watched.state.best.net in best[-1]
    assert told[0] in best


def test_the_best_so_far_is_that_of_the_lines_though_the_state_is_ahead(store: DirectoryStore) -> None:
    better = PROPOSED.model_copy(update={"step": 1, "net": "[GAP(10), SM(10)]", "trial": "0" * 12})
    events: list[Event] = [
        OPENED,
        PROPOSED,
        better,
        TOLD,
        TOLD.model_copy(update={"trial": better.trial, "reward": 0.75}),
    ]
    watched = Watched(store)
    with watched.view:
        for event in events:
            watched.state.apply(event)
        for event in events:
            watched.view.happened(event)
    assert [line.endswith("  best so far") for line in watched.written.getvalue().splitlines()[2:]] == [True, True]


def test_a_trial_is_a_line(store: DirectoryStore) -> None:
    assert Watched(store).happens(PROPOSED, TOLD) == [
        " 1/12  epsilon 1.00  0.5000             650 params     1.2 s  [SM(10)]  best so far"
    ]


@pytest.mark.parametrize(("status", "shown"), [("untrainable", "untrainable"), ("too_large", "too large  ")])
def test_a_trial_without_an_accuracy_of_its_own_says_why(status: str, shown: str, store: DirectoryStore) -> None:
    told = TOLD.model_copy(update={"status": status, "val_accuracy": 0.1})
    assert Watched(store).happens(PROPOSED, told) == [
        f" 1/12  epsilon 1.00  {shown}        650 params     1.2 s  [SM(10)]"
    ]


def test_a_net_that_was_stopped_early_says_what_was_foretold_and_where_it_stopped(store: DirectoryStore) -> None:
    prediction = Prediction(accuracy=0.75, spread=0.01, best=0.9)
    told = TOLD.model_copy(
        update={"status": "stopped_early", "reward": 0.75, "measured": 0.5, "prediction": prediction}
    )
    assert Watched(store).happens(PROPOSED, told) == [
        " 1/12  epsilon 1.00  ~0.7500            650 params     1.2 s  [SM(10)]  stopped early at 0.5000"
    ]


def test_a_failure_is_told_with_its_reason_made_visible(store: DirectoryStore) -> None:
    evil = "\x1b[2J\x1b]0;owned\x07 [red]no memory[/red]"
    lines = Watched(store).happens(
        PROPOSED,
        Failed(at="now", trial=TRIAL, attempt=1, kind=Phase.CRASHED, detail=evil),
        Abandoned(at="now", trial=TRIAL),
    )
    assert lines == [
        rf"trial {TRIAL}, attempt 1, crashed: \x1b[2J\x1b]0;owned\x07 [red]no memory[/red]",
        f"trial {TRIAL} is abandoned: [SM(10)]",
    ]


def test_trouble_is_told_once_and_so_is_its_end(store: DirectoryStore) -> None:
    watched = Watched(store)
    with watched.view:
        for text in ("away for 3 s", "away for 5 s", "the key is refused", "away for 9 s", "", ""):
            watched.view.trouble(text)
    assert watched.written.getvalue().splitlines() == [
        "waiting: away for 3 s",
        "waiting: the key is refused",
        "going on",
    ], "another reason is told, too, but each once"


def test_a_terminal_has_the_lines_and_below_them_a_screen_that_stays(store: DirectoryStore) -> None:
    watched = Watched(store, terminal=True)
    watched.happens(PROPOSED, TOLD)
    written = watched.written.getvalue()
    for part in ("epsilon 1.00", "0 of 12", "1 of 12", "0.5000", "2 at a time (scripted)", "\x1b[?25l", "\x1b[?25h"):
        assert part in written, part
    assert "650 params" in written, "the line that the pages show"
    last = written.rpartition("\x1b[2K")[2]
    assert "1 of 12" in last, "the last state stays"
    assert "Ctrl-C" not in last


def test_nets_of_a_run_that_nobody_works_on_wait(store: DirectoryStore) -> None:
    watched = Watched(store, terminal=True)
    with watched.view:
        for event in (OPENED, PROPOSED):
            watched.state.apply(event)
            watched.view.happened(event)
        watched.seconds += 10
        watched.view.refresh()
        assert "1 in training" in plain_text(watched.written)
        watched.works = False  # as a watcher sees it
        watched.seconds += 10
        watched.view.refresh()
        assert plain_text(watched.written).rindex("1 waiting") > plain_text(watched.written).rindex("in training")
        watched.works = True
        watched.seconds += 10
        watched.view.refresh()
        assert plain_text(watched.written).rindex("1 in training") > plain_text(watched.written).rindex("waiting")
    last = plain_text(watched.written).rpartition("trials")[2]
    assert "1 waiting" in last, "the session has ended"


def test_the_screen_is_not_drawn_for_each_of_a_thousand_events(store: DirectoryStore) -> None:
    watched = Watched(store, terminal=True)
    with watched.view:
        for _ in range(1000):
            watched.seconds += PACE / 100
            watched.view.refresh()
    assert watched.written.getvalue().count("0 of 12") in (10, 11)


def test_the_cursor_comes_back_whatever_happens(store: DirectoryStore) -> None:
    watched = Watched(store, terminal=True)
    with pytest.raises(ZeroDivisionError), watched.view:
        raise ZeroDivisionError
    assert watched.written.getvalue().rindex("\x1b[?25h") > watched.written.getvalue().rindex("\x1b[?25l")


def test_a_wait_that_comes_and_goes_is_told_once_and_again_if_it_lasts(store: DirectoryStore) -> None:
    """As where there are fewer places than trials: every few seconds no node takes one of them."""
    watched = Watched(store)
    view = watched.view
    told = 0

    def said() -> list[str]:
        nonlocal told
        lines = watched.written.getvalue().splitlines()
        told, new = len(lines), lines[told:]
        return new

    for number in range(20):
        view.trouble(f"no node accepts it: 0/{number} nodes are available")
        watched.seconds += 5
        view.refresh()
        view.trouble("")
        watched.seconds += 5
    assert said() == ["waiting: no node accepts it: 0/0 nodes are available", "going on"]
    view.trouble("the store does not answer")
    assert said() == ["waiting: the store does not answer"], "another reason is told at once"
    view.trouble("")
    view.trouble("the store does not answer")
    watched.seconds += LASTING + 1
    view.refresh()
    assert said() == ["going on", "waiting: the store does not answer"]
    view.trouble("")
    watched.seconds += QUIET + 1
    view.trouble("the store does not answer")
    assert said() == ["going on", "waiting: the store does not answer"]
