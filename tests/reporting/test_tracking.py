"""Trackers: shown everything once, however often and from wherever they are shown it; and never in the way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.errors import BadInput
from metaqnn_orch.reporting.feed import Tracking
from metaqnn_orch.reporting.summary import RunView, read_run
from metaqnn_orch.reporting.tracking import Files, Point, Tracker, TrackerOfRun, show_run, trackers
from metaqnn_orch.settings.model import TrackingSettings
from metaqnn_trainer.contract.result import EpochRecord
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import ScriptedLauncher, Session, settings


class Remembered:
    """A tracker that remembers what it was shown."""

    name = "a memory"

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.ends: list[bool] = []

    def begin(self, record: RunRecord, files: Files) -> None:
        self.run = record.run

    def show(self, points: Sequence[Point]) -> None:
        self.points += points

    def end(self, finished: bool) -> None:
        self.ends.append(finished)


class Broken(Remembered):
    name = "a broken one"

    def show(self, points: Sequence[Point]) -> None:
        raise ConnectionError("nobody answers\n\x1b[2J")


class Slow(Remembered):
    name = "a slow one"

    def show(self, points: Sequence[Point]) -> None:
        time.sleep(5)


class NoFiles:
    """A run without any."""

    def epochs(self, trial: str) -> list[EpochRecord]:
        return []

    def best(self, folder: Path, known: str) -> str:
        return ""


def makers(*made: Tracker) -> list[TrackerOfRun]:
    return [lambda tracker=tracker: tracker for tracker in made]  # type: ignore[misc]


def tracked(store: DirectoryStore, made: list[TrackerOfRun], said: list[str], goal: int, patience: float = 5) -> None:
    """One session of the run `test`, up to `goal` nets."""
    session = Session(store, settings(execution__max_trials=goal), f"to-{goal}")
    session.open()
    view = RunView(session.record, session.state, session.journal.position)
    with Tracking(store, view, made, said.append, NoFiles(), patience=patience, pauses=(0.05,)) as tracking:
        session.on_event = tracking.happened
        session.search(ScriptedLauncher(store))


def test_a_session_shows_what_was_before_and_what_happens(tmp_path: Path) -> None:
    store, said = DirectoryStore(tmp_path), list[str]()
    first, second = Remembered(), Remembered()
    tracked(store, makers(first), said, 5)
    tracked(store, makers(second), said, 12)
    assert [point.number for point in first.points] == [1, 2, 3, 4, 5]
    assert [point.number for point in second.points] == list(range(1, 13))
    assert [point.trial.trial for point in second.points[:5]] == [point.trial.trial for point in first.points]
    assert (first.ends, second.ends, said) == ([True], [True], [])
    best = [point.best for point in second.points]
    assert best == sorted(best)
    assert second.points[-1].mean == pytest.approx(sum(point.reward for point in second.points) / 12)
    assert second.points[-1].hours == pytest.approx(12 * 0.5 / 3600)


def test_a_tracker_that_fails_or_hangs_never_fails_the_run(tmp_path: Path) -> None:
    store, said, good = DirectoryStore(tmp_path), list[str](), Remembered()
    begun = time.monotonic()
    tracked(store, makers(Broken(), Slow(), good), said, 12, patience=0.2)
    assert time.monotonic() - begun < 5
    assert len(good.points) == 12
    assert sorted(said) == [
        "a broken one does not work: it lacks 12 trials; metaqnn-orch track copies the rest",
        "a broken one: ConnectionError: nobody answers; the run goes on, and what is missing is sent when it works "
        "again",
        "a slow one is too slow: it lacks 12 trials; metaqnn-orch track copies the rest",
    ]


class Away(Remembered):
    """Fails `times` times, at any of its calls, and then works."""

    name = "one that is away"

    def __init__(self, times: int, where: str) -> None:
        super().__init__()
        self.left = times
        self.where = where

    def _fail(self, where: str) -> None:
        if self.left and where == self.where:
            self.left -= 1
            raise TimeoutError("not now")

    def begin(self, record: RunRecord, files: Files) -> None:
        self._fail("begin")
        super().begin(record, files)

    def show(self, points: Sequence[Point]) -> None:
        super().show([point for point in points if point.number > 3 or self.where != "show"])
        self._fail("show")

    def end(self, finished: bool) -> None:
        self._fail("end")
        super().end(finished)


@pytest.mark.parametrize("where", ["begin", "show"])
def test_what_a_tracker_missed_is_sent_when_it_works_again(tmp_path: Path, where: str) -> None:
    store, said, away = DirectoryStore(tmp_path), list[str](), Away(2, where)
    session = Session(store, settings(), "one")
    session.open()
    view = RunView(session.record, session.state, session.journal.position)
    with Tracking(store, view, makers(away), said.append, NoFiles(), pauses=(0.05,)) as tracking:
        session.on_event = tracking.happened
        session.search(ScriptedLauncher(store))
        until = time.monotonic() + 30
        while len(said) < 2 and time.monotonic() < until:
            time.sleep(0.02)
    assert said[0] == (
        "one that is away: TimeoutError: not now; the run goes on, and what is missing is sent when it works again"
    )
    assert said[1].startswith("one that is away works again, and has all ")
    assert len(said) == 2
    assert {point.trial.trial for point in away.points} >= {*[*session.state.trials][3:]}
    assert away.ends == [True]


def test_an_end_that_cannot_be_shown_is_said(tmp_path: Path) -> None:
    store, said = DirectoryStore(tmp_path), list[str]()
    tracked(store, makers(Away(9, "end")), said, 12)
    assert said[-1] == "one that is away does not work: its end is missing; metaqnn-orch track copies the rest"


def test_a_signal_ends_the_wait_for_a_tracker(tmp_path: Path) -> None:
    store, said, heard = DirectoryStore(tmp_path), list[str](), count()
    session = Session(store, settings(execution__max_trials=1))
    session.open()
    view, begun = RunView(session.record, session.state, session.journal.position), time.monotonic()
    with Tracking(store, view, makers(Slow()), said.append, NoFiles(), lambda: next(heard)) as tracking:
        session.on_event = tracking.happened
        session.search(ScriptedLauncher(store))
    assert time.monotonic() - begun < 3
    assert said == ["a slow one is too slow: it lacks 1 trial; metaqnn-orch track copies the rest"]


def test_a_whole_run_is_shown_from_the_store(tmp_path: Path) -> None:
    store, seen = DirectoryStore(tmp_path), Remembered()
    Session(store, settings()).run_to_end()
    view = read_run(store, "test")
    assert show_run(store, view, makers(seen), NoFiles()) == 12
    assert (len(seen.points), seen.ends, seen.run) == (12, [True], "test")
    assert seen.points[0].at == datetime.fromtimestamp(0, UTC), "the journal's text is no time"
    with pytest.raises(BadInput, match="a broken one: ConnectionError: nobody answers"):
        show_run(store, view, makers(Broken()), NoFiles())


def test_nothing_is_shown_where_nobody_asked() -> None:
    assert trackers(TrackingSettings()) == []
