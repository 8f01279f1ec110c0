"""Feeds trackers while a search goes on. Each has a thread of its own, and the search never waits for one.

What a tracker has not been shown yet waits, as a point for each trial, of which the state of the run holds as many. A
tracker that fails is said at once, and is begun again, from the first point on, until it works; it leaves out what it
has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Condition, Thread
from typing import Final

from metaqnn_orch.control.events import Event, Told
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.errors import one_line
from metaqnn_orch.reporting.history import when
from metaqnn_orch.reporting.summary import RunView
from metaqnn_orch.reporting.tracking import AT_ONCE, Files, Point, Points, TrackerOfRun, history_points
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.store.base import Store

PATIENCE: Final = 60.0  # seconds that the end of a session waits for its trackers, which may send weights then
PAUSES: Final = (2.0, 5.0, 15.0, 60.0)  # seconds before a tracker that failed is begun again; the last one for ever
_LOOK: Final = 0.2  # seconds between two looks at whether a signal came


class Tracking:
    """Context manager around a session: shows it in all its trackers."""

    def __init__(
        self,
        store: Store,
        view: RunView,
        makers: Sequence[TrackerOfRun],
        say: Callable[[str], None],
        files: Files,
        heard: Callable[[], int] = lambda: 0,
        patience: float = PATIENCE,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        """`heard` returns how many signals came: one that comes at the end ends the wait for the trackers."""
        self._view = view
        self._points = Points()
        self._say = say
        self._heard = heard
        self._patience = patience
        told = history_points(store, view, self._points) if makers else []
        self._feeds = [_Feed(make, view.record, files, told, say, pauses) for make in makers]

    def __enter__(self) -> Tracking:
        for feed in self._feeds:
            feed.start()
        return self

    def happened(self, event: Event) -> None:
        if self._feeds and isinstance(event, Told):
            trial = self._view.state.trials[event.trial]
            point = self._points.add(trial, event.reward, when(event.at))
            for feed in self._feeds:
                feed.add(point)

    def __exit__(self, *error: object) -> None:
        for feed in self._feeds:
            feed.finish(self._view.state.finished is not None)
        heard, until = self._heard(), time.monotonic() + self._patience
        for feed in self._feeds:
            while feed.is_alive() and self._heard() == heard and time.monotonic() < until:
                feed.join(_LOOK)
            if feed.is_alive() or not feed.is_done:
                what = f"it lacks {amount(feed.left, 'trial')}" if feed.left else "its end is missing"
                slow = "is too slow" if feed.is_alive() else "does not work"
                self._say(f"{feed.label} {slow}: {what}; metaqnn-orch track copies the rest")


class _Feed(Thread):
    """One tracker's thread."""

    def __init__(
        self,
        make: TrackerOfRun,
        record: RunRecord,
        files: Files,
        told: Sequence[Point],
        say: Callable[[str], None],
        pauses: Sequence[float],
    ) -> None:
        super().__init__(daemon=True, name="tracker")
        self.label = "a tracker"
        self.is_done = False
        """Whether the tracker has been shown everything, and the end."""
        self._make = make
        self._record = record
        self._files = files
        self._points = [*told]
        self._shown = 0
        self._finished: bool | None = None
        self._news = Condition()
        self._tell = say
        self._pauses = pauses

    @property
    def left(self) -> int:
        """How many points the tracker has not been shown since it was begun."""
        return len(self._points) - self._shown

    def add(self, point: Point) -> None:
        with self._news:
            self._points.append(point)
            self._news.notify()

    def finish(self, finished: bool) -> None:
        """Note the end of the session: what is left is tried once more."""
        with self._news:
            self._finished = finished
            self._news.notify()

    def run(self) -> None:
        failures = 0
        while not self.is_done:
            last = self._finished is not None
            try:
                self._follow(after_a_failure=failures > 0)
                return
            except Exception as error:
                if not failures or self._shown:
                    self._tell(
                        f"{self.label}: {type(error).__name__}: {one_line(str(error))}; the run goes on, and what is "
                        "missing is sent when it works again"
                    )
                if last:
                    return
                failures = 1 if self._shown else failures + 1
            self._shown = 0
            with self._news:
                pause = self._pauses[min(failures, len(self._pauses)) - 1]
                self._news.wait_for(lambda: self._finished is not None, pause)

    def _follow(self, *, after_a_failure: bool) -> None:
        """Show everything, until the end."""
        tracker = self._make()
        self.label = tracker.name
        tracker.begin(self._record, self._files)
        while True:
            with self._news:
                self._news.wait_for(lambda: self.left or self._finished is not None)
                points, ended = self._points[self._shown : self._shown + AT_ONCE], self._finished
            if points:
                tracker.show(points)
                self._shown += len(points)
            if after_a_failure and not self.left:
                self._tell(f"{self.label} works again, and has all {len(self._points):,} trials")
                after_a_failure = False
            if ended is not None and not self.left:
                tracker.end(ended)
                self.is_done = True
                return
