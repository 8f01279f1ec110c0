"""Shows the epochs of a trial while it trains, in an object of the trial that is overwritten, and goes away when the
result is there.

It is only for people who look on. So it never holds up a training, and never fails one: it is written in a thread, no
call is repeated, and what cannot be written is left out.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread
from typing import Final

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.bounds import MAX_HISTORY
from metaqnn_trainer.contract.codec import encode_line
from metaqnn_trainer.contract.result import EpochRecord
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.errors import StoreError
from metaqnn_trainer.store.patient import without_patience

_SECONDS: Final = 5.0  # seconds between two writes, at least, and before the first
_SHARE: Final = 10  # a write that took long is followed by a pause of so many times its duration
_LAST: Final = 2.0  # seconds for which an end waits for a write that is on its way


class EpochsSoFar:
    """The epochs of one trial in training, as anybody can read them in the store.

    One write at a time is on its way. An epoch that ends meanwhile, or too soon after a write, is in the next one: each
    has all epochs since the training began, also those before a checkpoint.
    """

    def __init__(
        self, store: Store, run: str, trial: str, attempt: int, seconds: float = _SECONDS, share: float = _SHARE
    ) -> None:
        """An earlier attempt than `attempt` may have left its epochs."""
        self._store = without_patience(store)
        self._key = keys.epochs(run, trial)
        self._seconds = seconds
        self._share = share
        self._next = time.monotonic() + seconds
        self._there = attempt > 1
        self._is_over = False
        self._is_refused = False
        self._writer: Thread | None = None

    def tell(self, records: Sequence[EpochRecord]) -> None:
        """Write the epochs, if the last write is old enough. Returns at once."""
        if self._is_refused or time.monotonic() < self._next or (self._writer is not None and self._writer.is_alive()):
            return
        self._there = True
        # A daemon: a store that hangs does not keep the process from ending.
        self._writer = Thread(target=self._write, args=(tuple(records),), name="epochs", daemon=True)
        self._writer.start()

    def remove(self) -> None:
        """Remove the epochs, once there is a result. What cannot be removed is ignored by all who read."""
        self._is_over = True
        self.close()
        if self._there:
            self._delete()

    def close(self) -> None:
        """Wait for a write that is on its way, for a moment."""
        if self._writer is not None:
            self._writer.join(_LAST)

    def _write(self, records: Sequence[EpochRecord]) -> None:
        data = b"".join(map(encode_line, records))
        if len(data) > MAX_HISTORY:
            return
        begun = time.monotonic()
        try:
            self._store.put(self._key, data)
        except StoreError as error:
            self._is_refused = not error.transient
        ended = time.monotonic()
        self._next = ended + max(self._seconds, self._share * (ended - begun))
        if self._is_over:  # it was removed before it was there
            self._delete()

    def _delete(self) -> None:
        with suppress(StoreError):
            self._store.delete(self._key)
