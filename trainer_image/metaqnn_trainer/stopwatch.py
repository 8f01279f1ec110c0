"""How long an attempt has been at work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Seconds since `begun`, by `now`, without those that were spent waiting."""

    def __init__(self, begun: float | None = None, now: Callable[[], float] = time.monotonic) -> None:
        """`begun` is the present by default."""
        self._now = now
        self._begun = now() if begun is None else begun

    def seconds(self) -> float:
        return self._now() - self._begun

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What happens inside takes no time."""
        before = self._now()
        try:
            yield
        finally:
            self._begun += self._now() - before
