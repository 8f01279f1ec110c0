"""A store that does something around each call of another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from metaqnn_trainer.store.base import Entry, Stat, Store


class StoreAround:
    """Wraps another store. Each call of it is made in a context of its own, which `call` gives; so is each step of a
    listing, which may ask for a page. What the reader of a listing does meanwhile is no call.
    """

    def __init__(self, inner: Store, call: Callable[[], AbstractContextManager[None]]) -> None:
        self.inner = inner
        self._call = call

    @property
    def uri(self) -> str:
        return self.inner.uri

    def put(self, key: str, data: bytes) -> None:
        with self._call():
            self.inner.put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        with self._call():
            return self.inner.put_if_absent(key, data)

    def get(self, key: str, first: int | None = None) -> bytes:
        with self._call():
            return self.inner.get(key, first)

    def stat(self, key: str) -> Stat:
        with self._call():
            return self.inner.stat(key)

    def list(self, prefix: str) -> Iterator[Entry]:
        entries: Iterator[Entry] | None = None
        while True:
            with self._call():
                entries = entries or iter(self.inner.list(prefix))
                entry = next(entries, None)
            if entry is None:
                return
            yield entry

    def names(self, prefix: str) -> tuple[str, ...]:
        with self._call():
            return self.inner.names(prefix)

    def delete(self, key: str) -> None:
        with self._call():
            self.inner.delete(key)
