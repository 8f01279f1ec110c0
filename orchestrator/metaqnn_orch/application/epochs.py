"""Looks now and then how far the nets in training are, for a person who watches a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from threading import Condition, Thread
from typing import Any, Final, NamedTuple

from metaqnn_orch.application.listener import Epochs
from metaqnn_orch.control.state import RunState
from metaqnn_orch.errors import KNOWN
from metaqnn_orch.reporting.curves import MOST, so_far
from metaqnn_trainer.contract.result import EpochRecord

PAUSE: Final = 5.0  # seconds between two looks


class TrialInTraining(NamedTuple):
    """How far a net in training is."""

    trial: str
    net: str
    epoch: int
    """Number of the last epoch that ended, from 1; 0 where none has."""
    epochs: int
    """Epochs of its recipe."""
    reward: float | None
    """The best reward so far at the present learning rate; None before an epoch has ended."""


class TrialsInTraining:
    """The nets in training, with what their trainers have written last. A thread of its own reads it, so that no store
    can delay the run that is shown.
    """

    def __init__(self, state: RunState, epochs: Epochs | None, pause: float = PAUSE) -> None:
        """`epochs` reads the epochs of a trial; None where they cannot be read."""
        self._state = state
        self._epochs = epochs
        self._pause = pause
        self._changed = Condition()  # guards everything below
        self._wanted: list[str] = []
        self._found: dict[str, tuple[int, float]] = {}
        self._ended = False
        self._thread = Thread(target=self._look, name="epochs of the nets in training", daemon=True)

    def __enter__(self) -> TrialsInTraining:
        if self._epochs is not None:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    def now(self) -> list[TrialInTraining]:
        """The first nets in training, in the order of their proposal. The thread that changes the state calls it."""
        if self._epochs is None:
            return []
        trials = [*self._state.in_flight.values()][:MOST]
        with self._changed:
            begun = not self._wanted
            self._wanted = [trial.trial for trial in trials]
            found = dict(self._found)
            if begun:
                self._changed.notify()
        return [
            TrialInTraining(
                trial.trial,
                trial.net,
                found[trial.trial][0] if trial.trial in found else 0,
                self._planned(trial.recipe),
                found[trial.trial][1] if trial.trial in found else None,
            )
            for trial in trials
        ]

    def _planned(self, recipe: dict[str, Any]) -> int:
        return int(recipe.get("epochs", self._state.settings.recipe.epochs))

    def _look(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._ended)
                if self._ended:
                    return
                wanted = self._wanted
            found = so_far(wanted, self._read)
            with self._changed:
                self._found = {
                    trial: (records[-1].epoch, max(record.reward for record in records))
                    for trial, records in found.items()
                }
                self._changed.wait_for(lambda: self._ended, self._pause)

    def _read(self, trial: str) -> Sequence[EpochRecord]:
        assert self._epochs is not None
        with suppress(*KNOWN):  # the run itself says what is wrong with its store
            return self._epochs(trial)
        return ()


class Slowly:
    """Chooses the nets of which a line is printed: at most one line for each net and minute, only of new epochs."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, pause: float = 60.0) -> None:
        self._monotonic = monotonic
        self._pause = pause
        self._told: dict[str, tuple[float, int]] = {}

    def due(self, courses: Iterable[TrialInTraining]) -> list[TrialInTraining]:
        now, told, due = self._monotonic(), {}, []
        for course in courses:
            since, epoch = self._told.get(course.trial, (now, 0))
            if course.epoch > epoch and now >= since + self._pause:
                due.append(course)
                since, epoch = now, course.epoch
            told[course.trial] = since, epoch
        self._told = told
        return due
