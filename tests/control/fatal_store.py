"""A store at whose n-th call the process that uses it dies."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock
from typing import Any

from metaqnn_trainer.store.base import Entry, Stat, Store


class SimulatedKill(BaseException):
    """Ends a session the way a killed process ends: no handler of the product sees it."""


class FatalStore:
    """A real store whose user is killed at its n-th call, before or after it has its effect."""

    def __init__(self, store: Store, fatal_call: int, after: bool) -> None:
        self._store = store
        self._left = fatal_call
        self._lock = Lock()
        self._after = after

    @property
    def uri(self) -> str:
        return self._store.uri

    def _call(self, method: str, *arguments: Any) -> Any:
        with self._lock:
            self._left -= 1
            fatal = self._left == 0
        if fatal and not self._after:
            raise SimulatedKill
        try:
            return getattr(self._store, method)(*arguments)
        finally:
            if fatal:
                raise SimulatedKill

    def put(self, key: str, data: bytes) -> None:
        self._call("put", key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        return bool(self._call("put_if_absent", key, data))

    def get(self, key: str, first: int | None = None) -> bytes:
        return bytes(self._call("get", key, first))

    def stat(self, key: str) -> Stat:
        return Stat(*self._call("stat", key))

    def list(self, prefix: str) -> Iterator[Entry]:
        return iter(list(self._call("list", prefix)))

    def names(self, prefix: str) -> tuple[str, ...]:
        return tuple(self._call("names", prefix))

    def delete(self, key: str) -> None:
        self._call("delete", key)
