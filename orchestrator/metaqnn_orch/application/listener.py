"""Who hears what goes on: a live screen, or a log. The application says it, and knows nothing of how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from typing import Final, Protocol

from metaqnn_orch.control.events import Event
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.state import RunState

PACE: Final = 1.0  # seconds between two calls of View.refresh, at most


class Tone(Enum):
    """How a line is meant."""

    PLAIN = "plain"
    ASIDE = "aside"
    CAUTION = "caution"  # something is in the way, or is not as somebody may think


class Say(Protocol):
    """One line for a person. It never raises: whoever listens or not, the work goes on."""

    def __call__(self, line: str, tone: Tone = Tone.PLAIN) -> None: ...


class View(Protocol):
    """A run while it goes on. Its state has taken in already what is heard here."""

    def recall(self, events: Sequence[Event]) -> None:
        """What happened before anybody listened; the run is under way."""
        ...

    def happened(self, event: Event) -> None: ...

    def trouble(self, text: str) -> None:
        """What is being waited for; empty when it is over."""
        ...

    def refresh(self) -> None:
        """Time has passed. Called often, also while nothing happens."""
        ...


class Listener(Protocol):
    """Whoever is told of a command's work from its beginning to its end."""

    def say(self, line: str, tone: Tone = Tone.PLAIN) -> None: ...

    def follow(
        self, record: RunRecord, state: RunState, *, foot: str, now: Callable[[], str]
    ) -> AbstractContextManager[View]:
        """Hear of this run until the context ends. `foot` says how to stop that, and `now` is the moment to which the
        run has been at work."""
        ...


def introduction(record: RunRecord, state: RunState) -> str:
    """What run it is, how far it is, and where it is worked on."""
    goal = state.opened.goal if state.opened is not None else state.settings.goal
    begun = f"run {record.run} on {record.dataset.name}: {state.unique} of {goal} nets trained"
    return ", ".join([begun, *where(state)])


def where(state: RunState) -> list[str]:
    """How many trials are in training at a time, and by what; nothing where nobody said so."""
    opened = state.opened
    return [f"{opened.places:,} at a time ({opened.launcher})"] if opened is not None and opened.places else []
