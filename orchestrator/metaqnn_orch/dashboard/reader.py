"""One run, read once and then followed: however many browsers ask, the store is asked once in a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, wait
from functools import partial
from threading import RLock
from typing import Any, Final, NamedTuple, TypeVar

from metaqnn_orch.application.silence import silence_of
from metaqnn_orch.application.watching import Heartbeat
from metaqnn_orch.control.events import Event
from metaqnn_orch.control.holder import Holder
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.record import load_record
from metaqnn_orch.control.resume import resume
from metaqnn_orch.dashboard.background import in_background
from metaqnn_orch.errors import KNOWN, NotFound, StoreError, one_line
from metaqnn_orch.reporting.curves import Curves, read_epochs, so_far
from metaqnn_orch.reporting.history import History, read_history
from metaqnn_orch.reporting.run_figures import RunFigures
from metaqnn_orch.reporting.summary import RunView, at_work
from metaqnn_orch.settings.blame import failure
from metaqnn_trainer.store.base import Store

PACE: Final = 2.0  # seconds between two looks at the store
PATIENCE: Final = 4.0  # seconds for which a browser waits for a look; then it is told what is known

_CURVES_AT_ONCE: Final = 200  # histories that a look reads, of a run whose journal has no curves
_KEPT: Final = 500  # answers for one state of a run

T = TypeVar("T")


class Fault(NamedTuple):
    """Why a run cannot be read."""

    message: str
    hint: str
    transient: bool = False
    """Whether the store was merely out of reach."""
    missing: bool = False
    """Whether there is no such run."""


def in_words(error: Exception) -> str:
    """What went wrong, in one line; a fault of the program, or of a plug-in, is named as one."""
    known = error if isinstance(error, KNOWN) else failure(error)
    return one_line(str(known) if known is not None else f"a fault of the dashboard: {error!r}", 1000)


class Unreadable(Exception):
    """Nothing of the run is known yet, and it cannot be read."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class Seen(NamedTuple):
    """A run at the last look."""

    view: RunView
    history: History
    holder: Holder | None
    """The orchestrator that works on the run; None where none does."""
    epochs: Mapping[str, Sequence[float]]
    """The rewards of the epochs so far, of the first nets in training, by their trials' ids."""

    @property
    def works(self) -> bool:
        """Whether somebody works on the run."""
        return at_work(self.view.state, self.holder)


class RunReader:
    """Follows one run. It is safe to use from several threads."""

    def __init__(
        self,
        store: Store,
        run: str,
        *,
        pace: float = PACE,
        patience: float = PATIENCE,
        monotonic: Callable[[], float] = time.monotonic,
        curves: Curves | None = None,
    ) -> None:
        """`curves` are those that are known of the runs of the store: other readers may share them."""
        self.run = run
        self._store = store
        self._pace = pace
        self._patience = patience
        self._monotonic = monotonic
        self._lock = RLock()  # guards everything below
        self._look: Future[None] | None = None
        self._looked = float("-inf")
        self._seen: Seen | None = None
        self._journal: Journal | None = None
        self._curves = curves or Curves(store)
        self._pulse = Heartbeat(store, run, monotonic)
        self._fault: Fault | None = None
        self._made: dict[Hashable, Any] = {}
        self._made_at: Hashable = None

    def look(self) -> None:
        """Look at the store, unless somebody did so a moment ago, and wait a little for its answer."""
        with self._lock:
            if self._look is None and self._monotonic() >= self._looked + self._pace:
                self._look = in_background(f"look at {self.run}", self._read)
            look = self._look
        if look is not None:
            wait([look], self._patience)

    @property
    def fault(self) -> Fault | None:
        """What is wrong at present; None where the last look went well."""
        with self._lock:
            silent = silence_of(self._store).text
            if self._fault is None and silent and self._look is not None:
                return Fault(silent, "", transient=True)
            return self._fault

    def make(self, make: Callable[[Seen], T]) -> T:
        """What `make` makes of the run as it was at the last look, which does not change meanwhile.

        Raises:
            Unreadable: nothing is known of the run.
        """
        with self._lock:
            if self._seen is None:
                reading = Fault(f"run {self.run} is still being read", "", transient=True)
                raise Unreadable(self.fault or reading)
            return make(self._seen)

    def made(self, what: Hashable, make: Callable[[Seen], T]) -> T:
        """The same, made once for each state of the run: by the one who first asks for `what`. Raises as `make`
        does.
        """

        def kept(seen: Seen) -> T:
            view, holder = seen.view, seen.holder
            moment = view.position, view.record.uid, holder and (holder.session, holder.trouble)
            if moment != self._made_at or len(self._made) > _KEPT:
                self._made, self._made_at = {}, moment
            if what not in self._made:
                self._made[what] = make(seen)
            found: T = self._made[what]
            return found

        return self.make(kept)

    @property
    def figures(self) -> RunFigures:
        """The figures of the run as it was at the last look. Raises as `made` does."""
        return self.made("figures", lambda seen: RunFigures(seen.view, seen.history))

    def _read(self) -> None:
        try:
            self._read_on()
            fault = None
        except Exception as error:  # nobody else would say what ended this thread
            transient = isinstance(error, StoreError) and error.transient
            hint, missing = getattr(error, "hint", ""), isinstance(error, NotFound)
            fault = Fault(in_words(error), hint, transient, missing)
            if not transient:
                with self._lock:
                    self._journal = None  # from the beginning, when it can be read again
                    self._seen = None if missing else self._seen
        finally:
            with self._lock:
                self._looked, self._look = self._monotonic(), None
        with self._lock:
            self._fault = fault

    def _read_on(self) -> None:
        """Read what is new. The store is never asked while the lock is held."""
        record = load_record(self._store, self.run)
        seen, journal = self._seen, self._journal
        if seen is None or journal is None or seen.view.record != record:  # also one that was made anew
            state, journal = resume(self._store, record, record.settings_to_read())
            view = RunView(record, state, journal.position)
            seen = Seen(view, read_history(self._store, view), None, {})
            self._publish(seen, journal, [])
        else:
            events: list[Event] = []
            try:
                for event in journal.read():
                    events.append(event)
            finally:
                self._publish(seen, journal, events)
        with self._lock:
            best_first = sorted(seen.view.state.trials.values(), key=lambda trial: -trial.worth)
        if self._curves.fill(seen.view, best_first, _CURVES_AT_ONCE):
            with self._lock:
                self._made_at = None  # what was made has no curves
        holder = self._pulse.holder if self._pulse.beats() else None
        with self._lock:
            flight = [*seen.view.state.in_flight] if holder is not None and self._seen is not None else []
        records = so_far(flight, partial(read_epochs, self._store, self.run))
        epochs = {trial: [record.reward for record in found] for trial, found in records.items()}
        with self._lock:
            if self._seen is not None:
                self._seen = self._seen._replace(holder=holder, epochs=epochs)

    def _publish(self, seen: Seen, journal: Journal, events: Sequence[Event]) -> None:
        with self._lock:
            for event in events:
                seen.view.state.apply(event)
                seen.history.add(event, seen.view)
            self._journal = journal
            self._seen = seen._replace(view=seen.view._replace(position=journal.position))
