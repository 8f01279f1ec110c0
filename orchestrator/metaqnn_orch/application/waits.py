"""Which of the things that a run waits for are worth a line of a log."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

QUIET: Final = 600.0  # seconds after a wait in which another one for the same reason is not told at once
LASTING: Final = 60.0  # seconds after which it is


class Waits:
    """Tells each reason to wait once, although its numbers change. A wait that comes and goes, as when there are fewer
    places than trials, is told once, and again only if it lasts.
    """

    def __init__(
        self, tell: Callable[[str], None], over: Callable[[], None], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`tell` is called with what is waited for, and `over` when a wait that was told is over."""
        self._tell = tell
        self._over = over
        self._monotonic = monotonic
        self.text = ""
        """What is waited for; empty where nothing is."""
        self._since = 0.0
        self._is_told = False  # whether this reason is
        self._any_told = False  # whether this wait is, for any reason
        self._last: dict[str, float] = {}  # when each reason that was told was last over

    def trouble(self, text: str) -> None:
        """Take note of what is waited for; an empty text when the wait is over."""
        before, self.text, now = self.text, text, self._monotonic()
        if kind(text) == kind(before) and bool(text) == bool(before):
            return
        if before and self._is_told:
            self._last[kind(before)] = now
        self._since, self._is_told = now, False
        if not text:
            if self._any_told:
                self._over()
            self._any_told = False
        elif now > self._last.get(kind(text), float("-inf")) + QUIET:
            self._say()

    def refresh(self) -> None:
        """Take note that time has passed."""
        if self.text and not self._is_told and self._monotonic() > self._since + LASTING:
            self._say()

    def _say(self) -> None:
        self._is_told = self._any_told = True
        self._tell(self.text)


def kind(trouble: str) -> str:
    """The beginning of a trouble without its numbers and names of Jobs."""
    return re.sub(r"[\w-]*\d[\w-]*", "", trouble)[:80]
