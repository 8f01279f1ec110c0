"""Notices that a store takes a call and says nothing, long before the call reaches its own time limit.

The time limits of the client stay as they are, because a large object on a slow line takes minutes. Only a person is
told what is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from threading import Condition, Thread
from typing import Final

from metaqnn_orch.errors import StoreError
from metaqnn_trainer.store.around import StoreAround
from metaqnn_trainer.store.base import Store

PATIENCE: Final = 8.0  # seconds without a whole answer to a call

Told = Callable[[str], None]
"""Takes what is waited for, and an empty text when the store answers again; called by another thread."""


class Silence:
    """What a store was asked and has not answered. It is safe to use from several threads."""

    def __init__(self, store: str, told: Told, patience: float = PATIENCE) -> None:
        """`told` is called when no answer came for `patience` seconds, and then when the store answers again: by a
        thread that does nothing else, so that a terminal that is not read keeps no call waiting.
        """
        self._patience = patience
        self._words = f"no answer from the store {store} for {patience:.0f} s"
        self._changed = Condition()  # guards everything below
        self._told = told
        self._asked: dict[int, float] = {}  # when each call began that has not ended
        self._numbers = count()
        self._watcher: Thread | None = None
        self._text = ""
        self._answered = False  # since the text was told

    @property
    def text(self) -> str:
        """What is waited for; empty while the store answers."""
        return self._text

    @contextmanager
    def told_to(self, told: Told) -> Iterator[None]:
        """Tell `told` until the block ends, and nobody else."""
        with self._changed:
            before, self._told = self._told, told
        try:
            yield
        finally:
            with self._changed:
                self._told = before

    @contextmanager
    def call(self) -> Iterator[None]:
        """A block that asks the store one thing."""
        with self._changed:
            number = next(self._numbers)
            self._asked[number] = time.monotonic()
            if self._watcher is None:
                self._watcher = Thread(target=self._watch, name="silence of the store", daemon=True)
                self._watcher.start()
        answered = False
        try:
            yield
            answered = True
        except StoreError as error:
            answered = bool(error.status) or not error.transient
            raise
        finally:
            with self._changed:
                del self._asked[number]
                if self._text:
                    self._answered = self._answered or answered
                    self._changed.notify()

    def _watch(self) -> None:
        """Tell what is to be told, until no call is under way and nobody waits. So an idle store has no thread."""
        while True:
            with self._changed:
                while not self._turns():
                    if not self._asked and not self._text:
                        self._watcher = None
                        return
                    self._changed.wait(None if self._text else max(0.001, self._left))
                self._text = "" if self._text else self._words
                self._answered = False
                told, text = self._told, self._text
            told(text)

    def _turns(self) -> bool:
        """Whether the store began or ended to be silent."""
        late = bool(self._asked) and self._left <= 0
        return self._answered and not late if self._text else late

    @property
    def _left(self) -> float:
        """Seconds until the oldest call has waited for too long."""
        return self._patience - (time.monotonic() - min(self._asked.values()))


class WatchedStore(StoreAround):
    """Wraps another store, and notes in `silence` what it does not answer."""

    def __init__(self, store: Store, silence: Silence) -> None:
        super().__init__(store, silence.call)
        self.silence = silence


def silence_of(store: Store) -> Silence:
    """The silence of a store that is watched; for any other, one that never speaks."""
    return store.silence if isinstance(store, WatchedStore) else Silence(store.uri, lambda _text: None)
