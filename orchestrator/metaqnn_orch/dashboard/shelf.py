"""The runs of a store: all of them in a few words, and readers for those that somebody looks at."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Lock
from typing import Any, Final, NamedTuple

from metaqnn_orch.control.holder import read_holder
from metaqnn_orch.control.record import run_names
from metaqnn_orch.dashboard.background import in_background
from metaqnn_orch.dashboard.reader import PATIENCE, RunReader, in_words
from metaqnn_orch.errors import KNOWN, one_line
from metaqnn_orch.reporting.curves import Curves
from metaqnn_orch.reporting.summary import RunView, read_known, reward_name, summary
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.base import Store

PACE: Final = 5.0  # seconds between two looks at all runs
_REST: Final = 4.0  # times as long as a look took, the store has a rest
_KEPT: Final = 6  # readers: one holds a whole run in memory

Row = dict[str, Any]


class Shown(NamedTuple):
    """What is known of the runs."""

    rows: list[Row]
    """The fields of `metaqnn-orch status -o json`, or `run` and `error`, of each run that was read already."""
    reading: bool
    """Whether some were not read yet."""
    error: str
    """Why the store cannot be listed; empty where it can."""


class _Read(NamedTuple):
    newest: str
    """Key of the newest entry of its journal."""
    row: Row


class Shelf:
    """The runs of one store. It is safe to use from several threads."""

    def __init__(
        self,
        store: Store,
        *,
        pace: float = PACE,
        patience: float = PATIENCE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self._pace = pace
        self._patience = patience
        self._monotonic = monotonic
        self._lock = Lock()  # guards everything below
        self._curves = Curves(store)
        self._readers: OrderedDict[str, RunReader] = OrderedDict()
        self._rows: dict[str, _Read] = {}
        self._names: list[str] = []
        self._error = ""
        self._look: Future[None] | None = None
        self._next = float("-inf")

    def reader(self, run: str) -> RunReader:
        """The reader of a run, whether or not there is such a run.

        Raises:
            MessageError: this is no name of a run.
        """
        keys.check_name("run", run)
        with self._lock:
            reader = self._readers.pop(run, None) or RunReader(
                self.store,
                run,
                pace=min(self._pace, 2.0),
                patience=self._patience,
                monotonic=self._monotonic,
                curves=self._curves,
            )
            self._readers[run] = reader
            while len(self._readers) > _KEPT:
                self._readers.popitem(last=False)
        return reader

    def runs(self) -> Shown:
        """All runs, as far as they were read; looks at the store, unless somebody did so a moment ago."""
        with self._lock:
            if self._look is None and self._monotonic() >= self._next:
                self._look = in_background("look at the runs", self._read)
            look = self._look
        if look is not None:
            wait([look], self._patience)
        with self._lock:
            rows = [self._rows[name].row for name in self._names if name in self._rows]
            return Shown(rows, len(rows) < len(self._names) or (self._look is not None and not rows), self._error)

    def _read(self) -> None:
        begun, error = self._monotonic(), ""
        try:
            names = run_names(self.store)
            with self._lock:
                self._names = names
                self._rows = {name: read for name, read in self._rows.items() if name in names}
            for name in names:
                read = self._row(name)
                with self._lock:
                    self._rows[name] = read
        except Exception as failed:  # nobody else would say what ended this thread
            error = in_words(failed)
        finally:
            with self._lock:
                now = self._monotonic()
                self._error, self._look = error, None
                self._next = now + max(self._pace, _REST * (now - begun))

    def _row(self, run: str) -> _Read:
        """The row of a run, which is read only if anything happened in it.

        Raises:
            StoreError: the store is out of reach.
        """
        newest = ""
        for entry in self.store.list(keys.journal(run)):
            newest = entry.key
        known = self._rows.get(run)
        if known is not None and known.newest == newest and known.row.get("state") not in ("running", None):
            return known
        try:
            return _Read(newest, row(read_known(self.store, run), self.store))
        except KNOWN as error:
            if getattr(error, "transient", False):
                raise
            return _Read(newest, {"run": run, "error": one_line(str(error), 1000), "hint": getattr(error, "hint", "")})


def row(view: RunView, store: Store) -> Row:
    """A run in the list: the fields of status, the name of its reward, and when it was last heard of."""
    return {
        **summary(view, read_holder(store, view.record.run)),
        "reward_name": reward_name(view.state.settings),
        "heard": view.state.heard or view.record.created_at,
    }
