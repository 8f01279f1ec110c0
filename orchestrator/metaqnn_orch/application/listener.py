"""Listeners of a command's progress: a live screen, or a log. The application calls them, and does not know how they
show it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from typing import Final, NamedTuple, Protocol

from metaqnn_orch.control.confirmation import progress
from metaqnn_orch.control.events import Event
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.state import RunState
from metaqnn_trainer.contract.result import EpochRecord
from metaqnn_trainer.contract.text import amount

PACE: Final = 1.0  # seconds between two calls of View.refresh, at most


class Tone(Enum):
    """How a line is meant: as plain news or as a warning."""

    PLAIN = "plain"
    ASIDE = "aside"
    CAUTION = "caution"  # something is in the way, or is not what a reader may expect


class Say(Protocol):
    """Shows one line to a person. It never raises: the work goes on whether anybody reads it or not."""

    def __call__(self, line: str, tone: Tone = Tone.PLAIN) -> None: ...


Epochs = Callable[[str], Sequence[EpochRecord]]
"""Reads the epochs of a trial, in their order."""


class LiveRun(NamedTuple):
    """A run that is shown while it goes on."""

    record: RunRecord
    state: RunState
    foot: str
    """The last line: how to stop the run, for example."""
    now: Callable[[], str]
    """The moment up to which the run has been at work."""
    works: Callable[[], bool] = lambda: True
    """Whether anybody works on the run."""
    epochs: Epochs | None = None
    """Reads the epochs of one of its trials; None where they cannot be read."""


class View(Protocol):
    """Shows a run while it goes on. The run's state has already taken in every event that the view is told of."""

    def recall(self, events: Sequence[Event]) -> None:
        """Take in the events from before this view existed; the run is under way."""
        ...

    def happened(self, event: Event) -> None: ...

    def trouble(self, text: str) -> None:
        """Show what the run is waiting for; an empty text when the wait is over."""
        ...

    def silence(self, text: str) -> None:
        """Show what the store leaves without an answer; an empty text when it answers again. Another thread calls it,
        because the one that shows the run may be in that call.
        """
        ...

    def refresh(self) -> None:
        """Take note that time has passed. It is called often, also while nothing happens."""
        ...


class Listener(Protocol):
    """What a command tells of its progress, from beginning to end."""

    def say(self, line: str, tone: Tone = Tone.PLAIN) -> None: ...

    def follow(self, run: LiveRun) -> AbstractContextManager[View]:
        """A view that is told of this run until the context ends."""
        ...


def introduction(record: RunRecord, state: RunState) -> str:
    """Show which run this is, how far it has come, and where it is worked on."""
    goal = state.opened.goal if state.opened is not None else state.settings.goal
    begun = f"run {record.run} on {record.dataset.name}: {state.unique} of {amount(goal, 'net')} trained"
    again = progress(state)
    if again is not None and again.all:
        begun += f", {again.done} of {amount(again.all, 'training')} to confirm the best"
    return ", ".join([begun, *where(state)])


def where(state: RunState) -> list[str]:
    """How many trials are trained in parallel, and by what; empty where the listener was not told."""
    opened = state.opened
    return [f"{opened.places:,} at a time ({opened.launcher})"] if opened is not None and opened.places else []
