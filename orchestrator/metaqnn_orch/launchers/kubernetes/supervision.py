"""Threads that end only when they are closed: any exception in one is recorded as trouble, followed by a growing pause
and another try. All work that goes on for hours in the background is run this way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from threading import Condition, Event, Thread
from typing import Final

from metaqnn_orch.errors import ClusterError, LauncherError, one_line

LONGEST_PAUSE: Final = 30.0  # seconds between two tries


class Setbacks:
    """Failures in a row at one kind of work. Threads may share one: at worst a failure is not counted."""

    def __init__(self, first: float, tolerated: int, on_change: Callable[[], None] = lambda: None) -> None:
        """`first`: seconds before the second try; they double. So many transient failures are `tolerated` before they
        are reported as trouble. `on_change` is called when the trouble changes.
        """
        self._first = first
        self._tolerated = tolerated
        self._on_change = on_change
        self.count = 0
        self.trouble = ""
        """The cause of the last failure, as one line; empty when the work succeeds."""

    def add(self, error: Exception | None) -> float:
        """Count a failure, or a success where there is no error. Returns the seconds until the next try."""
        self.count += 1
        if error is None:
            return self._pause()
        told = as_cluster_error(error)
        if self.count > self._tolerated or not told.transient:
            self._tell(f"{told} ({told.hint})" if told.hint else str(told))
        return max(told.retry_after, self._pause())

    def _pause(self) -> float:
        return min(LONGEST_PAUSE, self._first * 2.0 ** min(self.count, 10))

    def relieve(self) -> None:
        """Clear the trouble, but not the pause: it may be too early to hurry again."""
        self._tell("")

    def clear(self) -> None:
        self.count = 0
        self._tell("")

    def _tell(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._on_change()


def keep_going(work: Callable[[], bool], setbacks: Setbacks, wait: Callable[[float], object]) -> None:
    """Do `work` again and again, until it returns False because there will be no more."""
    while True:
        try:
            if not work():
                return
        except Exception as error:
            wait(setbacks.add(error))


class Crew(ABC):
    """Several threads that share the work of an object, until it is closed."""

    def __init__(self, name: str, threads: int, first_pause: float) -> None:
        self._changed = Condition()  # guards what the threads share, and wakes those that wait for work
        self._mishaps = Setbacks(first_pause, tolerated=0)  # of the threads themselves
        self._closing = Event()
        work = (self._work, self._mishaps, self._closing.wait)
        self._threads = [Thread(target=keep_going, args=work, name=f"{name} {n}", daemon=True) for n in range(threads)]

    @abstractmethod
    def _work(self) -> bool:
        """Do the next piece of work, waiting for it; False when there will be none any more."""

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._closing.set()
        with self._changed:
            self._changed.notify_all()

    def join(self, seconds: float) -> None:
        """Wait for each thread, for at most this time."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(seconds)


def as_cluster_error(error: Exception) -> ClusterError:
    """Any exception as a ClusterError; an unforeseen one counts as transient."""
    if isinstance(error, ClusterError):
        return error
    if isinstance(error, LauncherError):
        return ClusterError(str(error), error.hint)
    try:
        words = one_line(str(error))
    except Exception:  # the exception has not even a text
        words = ""
    return ClusterError(f"{type(error).__name__}: {words}".removesuffix(": "))
