"""What a session has around it: a clock, somebody who may stop it, somebody who listens; and how it may end."""

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
    """What somebody asked a running loop for."""

    NO = "no"
    DRAIN = "drain"  # propose nothing more, wait for what runs
    NOW = "now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Everything of the outside world that the loop uses, so that a test can be the world."""

    now: Callable[[], str]  # wall clock, ISO 8601: for people and for budgets
    monotonic: Callable[[], float]  # seconds, for pauses
    sleep: Callable[[float], None]
    stop: Callable[[], Stop]
    on_event: Callable[[Event], None]  # after it is in the journal
    on_trouble: Callable[[str], None]  # what is being waited for; empty when it is over
