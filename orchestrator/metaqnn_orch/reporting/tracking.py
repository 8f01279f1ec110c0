"""Trackers: other places where a run is shown (MLflow, TensorBoard). They project the journal, at any time again.

A tracker is shown every trial that was told, in that order, and leaves out those that it has already; so showing a run
twice, or from the middle on, changes nothing. A search never waits for a tracker (feed.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import BadInput, one_line
from metaqnn_orch.needs import need
from metaqnn_orch.numbers import finite, mean
from metaqnn_orch.reporting.history import read_history
from metaqnn_orch.reporting.statistics import ROLLING
from metaqnn_orch.reporting.summary import RunView
from metaqnn_orch.settings.model import TrackingSettings
from metaqnn_trainer.contract.result import EpochRecord
from metaqnn_trainer.store.base import Store

AT_ONCE: Final = 100  # points that are shown at once


class Point(NamedTuple):
    """A trial that was told, and the state of the run after it."""

    number: int
    """Number of the trial, from 1, in the order of telling."""
    trial: Trial
    reward: float
    at: datetime
    best: float
    """The highest reward so far."""
    mean: float
    """Mean of the last hundred rewards."""
    hours: float
    """Hours of training, of all trials so far."""
    confirmed: float | None = None
    """For a trial that repeats another: the mean over the other's trainings so far. `number` counts such trials."""


class Points:
    """Turns trials into points; each point depends on those before it."""

    def __init__(self) -> None:
        self._number = 0
        self._repetitions = 0
        self._rewards: dict[str, list[float]] = {}  # of each trial's trainings
        self._best = -inf
        self._hours = 0.0
        self._last: deque[float] = deque(maxlen=ROLLING)

    def add(self, trial: Trial, reward: float, at: datetime | None) -> Point:
        self._hours = finite(self._hours + (trial.seconds or 0.0) / 3600)
        trainings = self._rewards.setdefault(trial.confirms or trial.trial, [])
        if trial.attempt:  # an imported result was measured elsewhere
            trainings.append(reward)
        if trial.confirms:
            self._repetitions += 1
        else:
            self._number += 1
            self._best = max(self._best, reward)
            self._last.append(reward)
        # The state is copied, because the original changes further.
        return Point(
            number=self._repetitions if trial.confirms else self._number,
            trial=replace(trial),
            reward=reward,
            at=at or datetime.fromtimestamp(0, UTC),
            best=self._best,
            mean=mean(self._last) if self._last else reward,
            hours=self._hours,
            confirmed=mean(trainings) if trial.confirms else None,
        )


class Files(Protocol):
    """What a tracker may show beside the journal's numbers. It is asked from the tracker's own thread."""

    def epochs(self, trial: str) -> list[EpochRecord]:
        """The epochs of a trial, as far as they can be read."""
        ...

    def best(self, folder: Path, known: str) -> str:
        """Write weights, model card and exported forms of the best net to an empty folder, as far as that is possible
        here, unless it is the `known` trial. Returns its trial; empty where nothing was written.
        """
        ...


class Tracker(Protocol):
    """Shows a run in another place. Any method may raise any exception."""

    @property
    def name(self) -> str: ...

    def begin(self, record: RunRecord, files: Files) -> None:
        """Find what the tracker already has of the run."""
        ...

    def show(self, points: Sequence[Point]) -> None:
        """Show the points in order; points that are already there are left out."""
        ...

    def end(self, finished: bool) -> None:
        """Note that the session has ended; `finished` says whether the run has."""
        ...


TrackerOfRun = Callable[[], Tracker]


def trackers(settings: TrackingSettings, say: Callable[[str], None] = lambda line: None) -> list[TrackerOfRun]:
    """The makers of the trackers that the settings ask for. `say` is told what takes long.

    Raises:
        BadInput: an extra is not installed.
    """
    made: list[TrackerOfRun] = []
    if settings.mlflow is not None:
        need("mlflow", "tracking.mlflow")
        uri, experiment = settings.mlflow, settings.mlflow_experiment

        def mlflow() -> Tracker:
            say("loading MLflow, which may take some seconds")
            from metaqnn_orch.reporting.mlflow_tracker import MlflowTracker

            return MlflowTracker(uri, experiment, say)

        made.append(mlflow)
    if settings.tensorboard is not None:
        need("tensorboard", "tracking.tensorboard")
        folder = settings.tensorboard

        def tensorboard() -> Tracker:
            from metaqnn_orch.reporting.tensorboard_tracker import TensorboardTracker

            return TensorboardTracker(folder)

        made.append(tensorboard)
    return made


def history_points(store: Store, view: RunView, points: Points) -> list[Point]:
    """The points of all trials told until now."""
    return [points.add(item.trial, item.reward, item.at) for item in read_history(store, view).trained]


def show_run(
    store: Store,
    view: RunView,
    makers: Iterable[TrackerOfRun],
    files: Files,
    say: Callable[[str], None] = lambda line: None,
) -> int:
    """Show a run in its present state; `say` is told how far that is. Returns the number of trials.

    Raises:
        BadInput: a tracker failed; the text says how.
    """
    told = history_points(store, view, Points())
    for make in makers:
        name = "the tracker"
        try:
            tracker = make()
            name = tracker.name
            tracker.begin(view.record, files)
            for first in range(0, len(told), AT_ONCE):
                if first:
                    say(f"{first:,} of {len(told):,} trials are in {name}")
                tracker.show(told[first : first + AT_ONCE])
            tracker.end(view.state.finished is not None)
        except Exception as error:
            raise BadInput(f"{name}: {type(error).__name__}: {one_line(str(error))}") from error
    return len(told)
