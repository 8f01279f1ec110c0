"""Diagnoses of a store or cluster: one line for each thing that was examined, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, NamedTuple

from metaqnn_orch.errors import KNOWN, ClusterError, redacted

MOST_SECONDS_APART: Final = 60.0  # S3 refuses requests whose clock is off by a quarter of an hour


class Mark(StrEnum):
    GOOD = "good"
    BAD = "bad"
    WARNING = "warning"  # a search works, though hardly as a person wants it
    UNKNOWN = "unknown"  # these credentials cannot see it, or only some commands need it: no fault


class Diagnosis(NamedTuple):
    """One thing that was examined."""

    what: str
    """The thing, in words."""
    mark: Mark
    """Whether it is as it should be; unknown where these credentials cannot see it, which need not be a fault."""
    detail: str = ""
    """What was found."""
    fix: str = ""
    """What to do about it."""


def tried(what: str, look: Callable[[], str | Diagnosis]) -> Diagnosis:
    """The diagnosis that the examination returns, or one that says how the examination failed."""
    try:
        seen = look()
    except KNOWN as error:
        return Diagnosis(what, Mark.BAD, redacted(str(error)), getattr(error, "hint", ""))
    return seen if isinstance(seen, Diagnosis) else Diagnosis(what, Mark.GOOD, seen)


def looked_up(
    what: str, look: Callable[[], Any], judge: Callable[[Any], str | Diagnosis], missing: str = "", no_group: str = ""
) -> Diagnosis:
    """A diagnosis from a look that may be forbidden. That is no fault: an orchestrator needs no more than its rights.
    `missing` is what to do about an object that does not exist; `no_group` is that where the server does not even know
    the kind.
    """
    try:
        found = look()
    except ClusterError as error:
        if error.status == 403:
            return Diagnosis(what, Mark.UNKNOWN, "these credentials may not look")
        fix = (no_group if error.reason == "NoGroup" else missing) if error.status == 404 else ""
        return Diagnosis(what, Mark.BAD, str(error), fix or error.hint)
    return tried(what, lambda: judge(found))


def clock(what: str, ahead: float) -> str | Diagnosis:
    """A diagnosis about a clock that is `ahead` seconds ahead of this machine's."""
    if abs(ahead) <= MOST_SECONDS_APART:
        return "it agrees with this machine's"
    apart = f"it is {abs(ahead):.0f} seconds {'ahead of' if ahead > 0 else 'behind'} this machine's"
    return Diagnosis(what, Mark.BAD, apart, "set the clock of this machine or of that one, best with NTP")
