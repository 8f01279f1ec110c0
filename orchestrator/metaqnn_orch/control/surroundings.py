"""The surroundings of a session: a clock, signals, listeners; and how a session may end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from metaqnn_orch.control.events import Event


class Outcome(StrEnum):
    """How a session ended."""

    GOAL = "goal"
    EXHAUSTED = "exhausted"
    TARGET = "target"
    BUDGET = "budget"
    INTERRUPTED = "interrupted"


class Stop(StrEnum):
    """What a signal asks of a running loop."""

    NO = "no"
    DRAIN = "drain"  # propose nothing more, wait for the trials that run
    NOW = "now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Everything that the loop uses of the outside world, so that a test can stand in for it."""

    now: Callable[[], str]  # wall clock, ISO 8601: for people and for budgets
    monotonic: Callable[[], float]  # seconds, for pauses
    sleep: Callable[[float], None]
    stop: Callable[[], Stop]
    on_event: Callable[[Event], None]  # called after the event is in the journal
    on_trouble: Callable[[str], None]  # called with what the run waits for; an empty text when the wait is over
