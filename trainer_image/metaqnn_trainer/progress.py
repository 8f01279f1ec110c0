"""Progress on standard error, a line at a time; each says whose it is, for several trials may share the stream."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_TRIAL: Final[ContextVar[str]] = ContextVar("trial", default="")


@contextmanager
def of_trial(trial: str) -> Iterator[None]:
    """What this thread says inside is this trial's."""
    token = _TRIAL.set(trial)
    try:
        yield
    finally:
        _TRIAL.reset(token)


def say(text: str) -> None:
    """Standard output belongs to whoever asked. Of several lines each is the trial's."""
    whose = f"trial {trial}: " if (trial := _TRIAL.get()) else ""
    lines = "".join(f"{whose}{line}\n" for line in text.splitlines())
    print(lines, end="", file=sys.stderr, flush=True)  # at once, beside other threads' lines
