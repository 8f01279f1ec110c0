"""Writes progress to standard error, a line at a time; each line names its trial, because several trials may share the
stream.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_TRIAL: Final[ContextVar[str]] = ContextVar("trial", default="")


@contextmanager
def of_trial(trial: str) -> Iterator[None]:
    """A block in which every line that this thread writes is of this trial."""
    token = _TRIAL.set(trial)
    try:
        yield
    finally:
        _TRIAL.reset(token)


def say(text: str) -> None:
    """Write lines to standard error: standard output belongs to the answer. Each line names the thread's trial."""
    whose = f"trial {trial}: " if (trial := _TRIAL.get()) else ""
    lines = "".join(f"{whose}{line}\n" for line in text.splitlines())
    print(lines, end="", file=sys.stderr, flush=True)  # in one call, so that lines of other threads do not mix with it
