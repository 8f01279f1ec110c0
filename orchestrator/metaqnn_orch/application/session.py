"""One session of a run: holds the run, and works on it with the loop."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from metaqnn_orch.application.assembly import Launching, refuse_unsafe_store
from metaqnn_orch.application.beginning import begin
from metaqnn_orch.application.health import Pulse
from metaqnn_orch.application.listener import Listener, LiveRun, Tone
from metaqnn_orch.application.moment import now
from metaqnn_orch.application.run_files import RunFiles
from metaqnn_orch.application.signals import ctrl_c_arrives, surely_closing
from metaqnn_orch.application.silence import Silence, silence_of
from metaqnn_orch.application.stopping import Signals
from metaqnn_orch.control.budget import Limit, exceeded, limit
from metaqnn_orch.control.confirmation import is_due, still_to_come
from metaqnn_orch.control.events import Event
from metaqnn_orch.control.holder import Hold, this_process
from metaqnn_orch.control.loop import Loop
from metaqnn_orch.control.record import Binding, RunRecord
from metaqnn_orch.control.resume import resume
from metaqnn_orch.control.state import RunState, nothing_worked
from metaqnn_orch.control.surroundings import Outcome, Stop, Surroundings
from metaqnn_orch.control.warm_start import recall
from metaqnn_orch.errors import KeysRefused, StoreError
from metaqnn_orch.launchers.base import Launcher
from metaqnn_orch.needs import need
from metaqnn_orch.next_command import next_command
from metaqnn_orch.reporting.cautions import only_random
from metaqnn_orch.reporting.curves import read_epochs
from metaqnn_orch.reporting.feed import Tracking
from metaqnn_orch.reporting.summary import RunView, method_in_words
from metaqnn_orch.reporting.tracking import trackers
from metaqnn_orch.search.searcher import SEARCHERS
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer import __version__
from metaqnn_trainer.contract.messages import DatasetRef
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.signals import unbroken
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.errors import UNKNOWN_KEYS

if TYPE_CHECKING:
    from metaqnn_orch.reporting.metrics import Metrics


class SessionEnd(NamedTuple):
    """The state that a session left behind, and how it ended."""

    view: RunView
    outcome: Outcome
    signal: int
    """Number of the first signal that was received, 0 if none was."""
    reason: str = ""
    """The budget or target that ended the session, in words; empty where none did."""

    @property
    def is_complete(self) -> bool:
        """Whether every trial of the run was trained."""
        return self.outcome in (Outcome.GOAL, Outcome.EXHAUSTED)


def run(
    store: Store,
    name: str,
    settings: Settings,
    launching: Launching,
    listener: Listener,
    *,
    check_store: Callable[[Store], None] = refuse_unsafe_store,
    answered_by: Binding | None = None,
    make_dataset: Callable[[str], DatasetRef] | None = None,
    metrics_port: int | None = None,
    pulse: Pulse | None = None,
    asked: Callable[[], Stop] = lambda: Stop.NO,
) -> SessionEnd:
    """Begin the run of that name, or go on with it, until it is complete or a signal stops it. `pulse` beats while the
    loop moves. `asked` says whether the search is asked to stop, as a signal asks it.

    Raises:
        BadInput, StoreError: as `begin` says; nothing was created.
        LauncherError: no trial can begin here; nothing was created.
        RunHeld, RunFailed, JournalError: as `search` says.
    """
    if metrics_port is not None:
        need("metrics", "--metrics-port")
    with surely_closing(launching):
        try:
            record = begin(store, name, settings, check_store, listener.say, answered_by, make_dataset, launching.prove)
        except StoreError as error:
            if error.code not in UNKNOWN_KEYS:
                raise
            raise KeysRefused(str(error), error.hint, cause=error.cause, status=error.status, code=error.code) from None
        with surely_closing(launching.of(record)) as workers:
            return search(
                *(store, record, record.settings_as_run(settings), workers, listener, metrics_port, pulse, asked),
                ask=launching.ask,
            )


def search(
    store: Store,
    record: RunRecord,
    settings: Settings,
    launcher: Launcher,
    listener: Listener,
    metrics_port: int | None = None,
    pulse: Pulse | None = None,
    asked: Callable[[], Stop] = lambda: Stop.NO,
    ask: Callable[[], object] = lambda: None,
) -> SessionEnd:
    """Go on with a run, from wherever its journal ends, until it is complete or a signal stops it. `ask` is called
    where there is anything left to do, before the session is written down.

    Raises:
        BadInput: as `ask` says.
        RunHeld: another orchestrator works on it.
        RunFailed, JournalError, StoreError, LauncherError: as the loop says.
    """
    metrics = _metrics(record.run) if metrics_port is not None else None
    silence = silence_of(store)
    if metrics is not None:
        store, launcher = metrics.watched_store(store), metrics.watched_launcher(launcher)
    pulse, session = pulse or Pulse(), secrets.token_hex(8)
    hold = Hold(store, record.run, this_process(session, now()), time.monotonic)
    try:
        hold.claim(time.sleep, listener.say)
        with hold.kept(now, lambda: silence.text):
            return _searched(
                *(store, record, settings, launcher, listener, session, hold, pulse, silence, metrics, metrics_port),
                *(asked, ask),
            )
    finally:
        with unbroken(), suppress(StoreError):  # a courtesy
            hold.release()


def _searched(
    store: Store,
    record: RunRecord,
    settings: Settings,
    launcher: Launcher,
    listener: Listener,
    session: str,
    hold: Hold,
    pulse: Pulse,
    silence: Silence,
    metrics: Metrics | None,
    metrics_port: int | None,
    asked: Callable[[], Stop],
    ask: Callable[[], object],
) -> SessionEnd:
    """Search as `search` does, while the run is held."""
    state, journal = resume(store, record, settings, session)
    if state.recalled is None and (event := recall(store, record.run, settings, rehearsal=bool(record.table))):
        journal.append([event])
        state.apply(event)
        left_out = f", {event.refused} that are not in this space left out" if event.refused else ""
        listener.say(f"starting from {amount(len(event.rows), 'result')} of run {event.run}{left_out}")
    view = RunView(record, state, journal.position)
    unnamed = is_due(state, settings.confirm)  # the search may be over, but its best are not confirmed
    if state.finished is not None and state.unique >= settings.goal and not unnamed:
        listener.say(f"run {record.run} is complete, nothing is left to do")
        return SessionEnd(view, Outcome.GOAL, 0)
    reached = _limit(state, settings, state.heard, unnamed=unnamed) if state.finished is not None else None
    if reached is not None and not nothing_worked(state):
        return SessionEnd(view, Outcome(reached.reason), 0, reached.detail)
    ask()
    if metrics is not None:
        metrics.begin(state, settings.goal)
    served = metrics.served(metrics_port) if metrics is not None and metrics_port is not None else nullcontext()
    if not settings.nets:
        source = SEARCHERS.find(settings.search.method).identity or "docs/search.md"
        listener.say(f"searching by {method_in_words(settings)} ({source})")
        if idle := only_random(settings):
            listener.say(idle, Tone.CAUTION)
    makers, files = trackers(settings.tracking), RunFiles(store, view, listener.say)
    epochs = partial(read_epochs, store, record.run)
    stops = "Ctrl-C" if ctrl_c_arrives() else next_command(f"cancel {record.run}", store.uri)
    foot = f"{stops} stops, the same command goes on"
    shown = listener.follow(LiveRun(record, state, foot, now, epochs=epochs))
    with (
        Signals(listener.say, launcher.outlives_us, asked) as signals,
        served as port,
        Tracking(store, view, makers, listener.say, files, lambda: signals.heard) as tracking,
        shown as screen,
        silence.told_to(screen.silence),
    ):
        if port is not None:
            listener.say(f"metrics at port {port}, /metrics", Tone.ASIDE)

        def happened(event: Event) -> None:
            screen.happened(event)
            tracking.happened(event)
            if metrics is not None:
                metrics.happened(event)

        def stop() -> Stop:
            pulse.beat()  # the loop asks in every round, also in those in which it only waits
            return signals.stop()

        def rest(seconds: float) -> None:
            screen.refresh()
            signals.sleep(seconds)

        loop = Loop(
            record=record,
            state=state,
            journal=journal,
            store=store,
            launcher=launcher,
            hold=hold,
            version=__version__,
            goal=settings.goal,
            surroundings=Surroundings(
                now=now,
                monotonic=time.monotonic,
                sleep=rest,
                stop=stop,
                on_event=happened,
                on_trouble=screen.trouble,
            ),
        )
        try:
            outcome = loop.run()
        finally:
            pulse.end()
    reason = state.finished.detail if state.finished is not None else ""
    return SessionEnd(RunView(record, state, journal.position), outcome, signals.first, reason)


def _limit(state: RunState, settings: Settings, now: str, *, unnamed: bool) -> Limit | None:
    """The limit that keeps any trial of a run that has ended from beginning."""
    if unnamed:
        return exceeded(state, settings.budget, now)
    reserved = still_to_come(state, settings.confirm, state.unique + 1)
    return limit(state, settings.budget, now, reserved=reserved)


def _metrics(run: str) -> Metrics:
    need("metrics", "--metrics-port")
    from metaqnn_orch.reporting.metrics import Metrics

    return Metrics(run)
