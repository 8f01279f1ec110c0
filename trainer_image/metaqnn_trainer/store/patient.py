"""A store whose writes are repeated after an outage, because the data may be the work of hours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from metaqnn_trainer.store.base import Entry, Stat, Store, holds
from metaqnn_trainer.store.errors import Cause, StoreError

PATIENCE: Final = (5.0, 10.0, 20.0, 40.0, 60.0)
"""The trainer's pauses in seconds. Between them the client itself repeats a request for ten seconds, so that all
together takes minutes.
"""

T = TypeVar("T")


class PatientStore:
    """Wraps another store. A write that meets an outage or a full store is tried again after each of `pauses`, in
    seconds. A write that is refused for good fails at once; reads are not repeated, because the caller can begin
    again. `report` is called with what is waited for.
    """

    def __init__(
        self, store: Store, pauses: Sequence[float], report: Callable[[str], None] = lambda _line: None
    ) -> None:
        self._store = store
        self._pauses = pauses
        self._report = report

    @property
    def uri(self) -> str:
        return self._store.uri

    def put(self, key: str, data: bytes) -> None:
        self._repeated(lambda _again: self._store.put(key, data))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write only if absent, as the protocol says. A failed write may have happened all the same: so after a
        repetition, and only then, an object with equal bytes counts as this call's.
        """

        def write(again: bool) -> bool:
            return self._store.put_if_absent(key, data) or (again and holds(self._store, key, data))

        return self._repeated(write)

    def get(self, key: str, first: int | None = None) -> bytes:
        return self._store.get(key, first)

    def stat(self, key: str) -> Stat:
        return self._store.stat(key)

    def list(self, prefix: str) -> Iterator[Entry]:
        return self._store.list(prefix)

    def delete(self, key: str) -> None:
        self._store.delete(key)

    def _repeated(self, write: Callable[[bool], T]) -> T:
        """The result of `write`, which is called with whether it was called before."""
        pauses = iter(self._pauses)
        again = False
        while True:
            try:
                return write(again)
            except StoreError as error:
                pause = None if error.cause is Cause.REFUSED else next(pauses, None)
                if pause is None:
                    raise
                self._report(f"{error}; trying again in {pause:.0f} s")
            again = True
            time.sleep(pause)
