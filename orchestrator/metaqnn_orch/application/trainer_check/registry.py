"""What a check is, how it can end, and how checks are registered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from metaqnn_orch.application.trainer_check.bench import Bench


class CheckMark(StrEnum):
    """The outcome of a check."""

    PASSED = "passed"
    WARNED = "warned"  # the contract allows it, but it is unwise
    FAILED = "failed"
    NOT_TRIED = "not tried"


class Checked(NamedTuple):
    """The outcome of one check."""

    group: str
    """Group of the check."""
    check: str
    """Name of the check."""
    mark: CheckMark
    """Outcome of the check; warned where the contract allows it, but it is unwise."""
    about: str
    """The promise that was checked, in a sentence."""
    found: str
    """What was found."""
    expected: str = ""
    """What was expected, where the check did not pass."""
    fix: str = ""
    """What to do about it, where the check did not pass."""
    seconds: float = 0.0
    """Seconds that the check took."""


class Shortfall(Exception):
    """A check does not pass. `fix` says what to do, where the check's own advice does not fit."""

    mark = CheckMark.FAILED

    def __init__(self, found: str, expected: str, fix: str = "") -> None:
        super().__init__(f"{found}, expected {expected}")
        self.found = found
        self.expected = expected
        self.fix = fix


class Doubt(Shortfall):
    """A check passes with a warning."""

    mark = CheckMark.WARNED


class NotTried(Exception):
    """A check cannot be made; the text says why."""


class Check(NamedTuple):
    """One promise of the contract. `look` returns what it found."""

    group: str
    name: str
    about: str
    fix: str
    look: Callable[[Bench], str]


class Checks:
    """The checks of one group, in order."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._checks: list[Check] = []

    def add(self, name: str, *, fix: str) -> Callable[[Callable[[Bench], str]], Callable[[Bench], str]]:
        """A decorator for checks: the function's docstring says what it checks, and it raises Shortfall where the check
        fails.
        """

        def register(look: Callable[[Bench], str]) -> Callable[[Bench], str]:
            about = " ".join((look.__doc__ or "").split())
            self._checks.append(Check(self._group, name, about, fix, look))
            return look

        return register

    def __iter__(self) -> Iterator[Check]:
        return iter(self._checks)
