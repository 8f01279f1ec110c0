"""A store that outlasts an outage, because the data may be the work of hours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from metaqnn_trainer.store.base import Entry, Stat, Store, holds
from metaqnn_trainer.store.errors import UNKNOWN_KEYS, Cause, ObjectMissing, StoreError

PATIENCE: Final = (5.0, 10.0, 20.0, 40.0, 60.0)
"""The trainer's pauses in seconds. Between them the client itself repeats a request for ten seconds, so that all
together takes minutes.
"""

LAST_SECONDS: Final = 15.0
"""How long it goes on trying once its process was asked to stop: less than the 30 s that a Pod usually gets."""
_LOOK: Final = 0.25  # seconds between two looks at whether it was asked

T = TypeVar("T")


class PatientStore:
    """Wraps another store. A call that meets an outage is tried again after each of `pauses`, in seconds; so is a write
    to a store that is full, or that refuses the credentials, which may be repaired meanwhile. Any other refusal fails
    at once. A read that is refused fails at once, too: a trainer needs no right to look for what may be missing.
    `report` is called with what is waited for. Once `stop` says that the process was asked to stop, a call is tried
    again for `last` seconds at most.
    """

    def __init__(
        self,
        store: Store,
        pauses: Sequence[float],
        report: Callable[[str], None] = lambda _line: None,
        stop: Callable[[], bool] = lambda: False,
        last: float = LAST_SECONDS,
    ) -> None:
        self.inner = store
        self._pauses = pauses
        self._report = report
        self._stop = stop
        self._last = last
        self._stopped_at: float | None = None

    @property
    def uri(self) -> str:
        return self.inner.uri

    def put(self, key: str, data: bytes) -> None:
        self._repeated(lambda _again: self.inner.put(key, data), writes=True)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write only if absent, as the protocol says. A failed write may have happened all the same: so after a
        repetition, and only then, an object with equal bytes counts as this call's.
        """

        def write(again: bool) -> bool:
            return self.inner.put_if_absent(key, data) or (again and holds(self.inner, key, data))

        return self._repeated(write, writes=True)

    def get(self, key: str, first: int | None = None) -> bytes:
        return self._repeated(lambda _again: self.inner.get(key, first))

    def stat(self, key: str) -> Stat:
        return self._repeated(lambda _again: self.inner.stat(key))

    def list(self, prefix: str) -> Iterator[Entry]:
        return self._repeated(lambda _again: iter([*self.inner.list(prefix)]))

    def names(self, prefix: str) -> tuple[str, ...]:
        return self._repeated(lambda _again: self.inner.names(prefix))

    def delete(self, key: str) -> None:
        self._repeated(lambda _again: self.inner.delete(key))

    def _repeated(self, call: Callable[[bool], T], *, writes: bool = False) -> T:
        """The result of `call`, which is called with whether it was called before."""
        pauses = iter(self._pauses)
        again = False
        while True:
            try:
                return call(again)
            except ObjectMissing:
                raise
            except StoreError as error:
                pause = next(pauses, None) if may_pass(error, writes=writes) else None
                if pause is None or self._is_over():
                    raise
                self._report(f"{error}; trying again in {pause:.0f} s")
                if not self._rest(pause):
                    raise
            again = True

    def _rest(self, pause: float) -> bool:
        """Wait so many seconds; False if there is no time for it, because the process was asked to stop."""
        end = time.monotonic() + pause
        while (left := end - time.monotonic()) > 0:
            if self._is_over():
                return False
            time.sleep(min(left, _LOOK))
        return True

    def _is_over(self) -> bool:
        if self._stopped_at is None and self._stop():
            self._stopped_at = time.monotonic()
        return self._stopped_at is not None and time.monotonic() >= self._stopped_at + self._last


def without_patience(store: Store) -> Store:
    """The store itself, whose calls are not repeated: for what is not worth waiting for."""
    return store.inner if isinstance(store, PatientStore) else store


def may_pass(error: StoreError, *, writes: bool) -> bool:
    """Whether the same call may succeed some minutes later. Keys that are unknown may be being exchanged."""
    return error.transient or (writes and (error.cause is Cause.FULL or error.code in UNKNOWN_KEYS))
