"""Trackers: shown everything once, however often and from wherever they are shown it; and never in the way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.errors import BadInput
from metaqnn_orch.reporting.summary import RunView, read_run
from metaqnn_orch.reporting.tracking import Point, Tracker, TrackerOfRun, Tracking, show_run, trackers
from metaqnn_orch.settings.model import TrackingSettings
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import ScriptedLauncher, Session, settings


class Remembered:
    """A tracker that remembers what it was shown."""

    name = "a memory"

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.ends: list[bool] = []

    def begin(self, record: RunRecord) -> None:
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


def makers(*made: Tracker) -> list[TrackerOfRun]:
    return [lambda tracker=tracker: tracker for tracker in made]  # type: ignore[misc]


def tracked(store: DirectoryStore, made: list[TrackerOfRun], said: list[str], goal: int, patience: float = 5) -> None:
    """One session of the run `test`, up to `goal` nets."""
    session = Session(store, settings(execution__max_trials=goal), f"to-{goal}")
    session.open()
    view = RunView(session.record, session.state, session.journal.position)
    with Tracking(store, view, made, said.append, patience) as tracking:
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
        "a broken one: ConnectionError: nobody answers; the run goes on without it, "
        "and metaqnn-orch track copies the rest",
        "a slow one is too slow: copy the rest with metaqnn-orch track",
    ]


def test_a_whole_run_is_shown_from_the_store(tmp_path: Path) -> None:
    store, seen = DirectoryStore(tmp_path), Remembered()
    Session(store, settings()).run_to_end()
    view = read_run(store, "test")
    assert show_run(store, view, makers(seen)) == 12
    assert (len(seen.points), seen.ends, seen.run) == (12, [True], "test")
    assert seen.points[0].at == datetime.fromtimestamp(0, UTC), "the journal's text is no time"
    with pytest.raises(BadInput, match="a broken one: ConnectionError: nobody answers"):
        show_run(store, view, makers(Broken()))


def test_nothing_is_shown_where_nobody_asked() -> None:
    assert trackers(TrackingSettings()) == []
