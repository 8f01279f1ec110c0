"""One session of a run: its record found or made, the run held, the loop watched."""

from __future__ import annotations

import secrets
import shlex
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from metaqnn_orch.application import datasets
from metaqnn_orch.application.signals import unbroken
from metaqnn_orch.application.stopping import Signals
from metaqnn_orch.cli.output import Progress, say
from metaqnn_orch.cli.view import SearchView
from metaqnn_orch.control.budget import limit
from metaqnn_orch.control.events import Event
from metaqnn_orch.control.holder import Hold, this_process
from metaqnn_orch.control.loop import Loop
from metaqnn_orch.control.record import Binding, RunRecord, bind, check_answers, check_same, create_record, load_record
from metaqnn_orch.control.resume import check_imported, resume
from metaqnn_orch.control.state import nothing_worked
from metaqnn_orch.control.surroundings import Outcome, Surroundings
from metaqnn_orch.control.warm_start import recall
from metaqnn_orch.errors import BadInput, NotFound, SettingsError, StoreError
from metaqnn_orch.launchers.base import Launcher
from metaqnn_orch.reporting.summary import RunView
from metaqnn_orch.reporting.tracking import Tracking, trackers
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.plugged import plugins_of
from metaqnn_trainer import __version__
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.messages import DatasetRef
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.opening import open_store

if TYPE_CHECKING:
    from metaqnn_orch.reporting.metrics import Metrics

VERSION: Final = __version__


class Ended(NamedTuple):
    """What a session left behind, and how it ended."""

    view: RunView
    outcome: Outcome
    signal: int
    """The first that was received, 0 if none was."""
    reason: str = ""
    """In words, where a budget or a target ended it."""


def begin(
    store: Store,
    run: str,
    settings: Settings,
    check_store: Callable[[Store], None],
    answered_by: Binding | None = None,
    make_dataset: Callable[[str], DatasetRef] | None = None,
) -> RunRecord:
    """run.json of this run: the one that is there, if it asks for the same, or a new one. Whatever can be wrong is
    found before anything is written; `check_store` is the last to be asked, because it may have to write to learn.

    `answered_by` stands in for the dataset where a table answers. `make_dataset` makes one that the store has not got
    yet; by default this machine does.

    Raises:
        BadInput: the run exists with other settings, or its dataset is missing, or does not fit, or a table answers
            where one trained, or the other way round.
    """

    def check(record: RunRecord) -> RunRecord:
        check_same(record, settings)
        check_answers(record, answered_by)
        return record

    trackers(settings.tracking)  # what is not installed is said before anything is written
    try:
        record = check(load_record(store, run))
    except NotFound:
        recall(store, run, settings, rehearsal=answered_by is not None)
        binding = answered_by or _find_dataset(store, settings, make_dataset)
        check_store(store)
        # Somebody else may have begun the run at the same moment.
        return check(create_record(store, _new_record(run, settings, binding)))
    if record.is_open:
        check_imported(store, record)
        binding = answered_by or _find_dataset(store, settings, make_dataset)
        check_store(store)
        return check(bind(store, record, binding))
    check_store(store)
    return record


def search(
    store: Store, record: RunRecord, settings: Settings, launcher: Launcher, metrics_port: int | None = None
) -> Ended:
    """Go on with a run, from wherever its journal ends, until it is complete or somebody stops it.

    Raises:
        RunHeld: another orchestrator works on it.
        RunFailed, JournalError, StoreError, LauncherError: as the loop says.
    """
    metrics = _metrics(record.run) if metrics_port is not None else None
    if metrics is not None:
        store, launcher = metrics.watched_store(store), metrics.watched_launcher(launcher)
    session = secrets.token_hex(8)
    hold = Hold(store, record.run, this_process(session, now()), time.monotonic)
    try:
        hold.claim(time.sleep, say)
        with hold.kept(now):
            return _searched(store, record, settings, launcher, session, hold, metrics, metrics_port)
    finally:
        with unbroken(), suppress(StoreError):  # a courtesy
            hold.release()


def _searched(
    store: Store,
    record: RunRecord,
    settings: Settings,
    launcher: Launcher,
    session: str,
    hold: Hold,
    metrics: Metrics | None,
    metrics_port: int | None,
) -> Ended:
    """The same, while the run is held."""
    state, journal = resume(store, record, settings, session)
    if state.recalled is None and (event := recall(store, record.run, settings, rehearsal=bool(record.table))):
        journal.append([event])
        state.apply(event)
        left_out = f", {event.refused} of other spaces left out" if event.refused else ""
        say(f"beginning with what run {event.run} was told: {len(event.rows)} presentations{left_out}")
    view = RunView(record, state, journal.position)
    if state.finished is not None and state.unique >= settings.goal:
        say(f"run {record.run} is complete, nothing is left to do")
        return Ended(view, Outcome.GOAL, 0)
    reached = limit(state, settings.budget, state.heard) if state.finished is not None else None
    if reached is not None and not nothing_worked(state):
        return Ended(view, Outcome(reached.reason), 0, reached.detail)
    console = Progress()
    screen = SearchView(console, record, state, foot="Ctrl-C stops, the same command goes on", now=now)
    if metrics is not None:
        metrics.begin(state, settings.goal)
    served = metrics.served(metrics_port) if metrics is not None and metrics_port is not None else nullcontext()
    tracking = Tracking(store, view, trackers(settings.tracking), screen.say)
    with Signals(screen.say, launcher.outlives_us) as signals, served as port, tracking, screen:
        if port is not None:
            screen.say((f"metrics at port {port}, /metrics", "dim"))

        def happened(event: Event) -> None:
            screen.happened(event)
            tracking.happened(event)
            if metrics is not None:
                metrics.happened(event)

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
            version=VERSION,
            goal=settings.goal,
            surroundings=Surroundings(
                now=now,
                monotonic=time.monotonic,
                sleep=rest,
                stop=signals.stop,
                on_event=happened,
                on_trouble=screen.trouble,
            ),
        )
        outcome = loop.run()
    reason = state.finished.detail if state.finished is not None else ""
    return Ended(RunView(record, state, journal.position), outcome, signals.first, reason)


def _metrics(run: str) -> Metrics:
    """
    Raises:
        BadInput: the extra is not installed.
    """
    try:
        from metaqnn_orch.reporting.metrics import Metrics
    except ModuleNotFoundError:
        raise BadInput("metrics take prometheus-client", hint="pip install 'metaqnn-orch[metrics]'") from None
    return Metrics(run)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _new_record(run: str, settings: Settings, binding: Binding) -> RunRecord:
    return RunRecord(
        run=run,
        uid=secrets.token_hex(16),
        created_at=now(),
        version=VERSION,
        settings=settings.on(binding.dataset.digest).recorded(),
        plugins=plugins_of(settings),
        **dict(binding),
    )


def _find_dataset(store: Store, settings: Settings, make: Callable[[str], DatasetRef] | None) -> Binding:
    """The dataset that the settings name, in the store; made now, if it is not there yet."""
    name, digest = settings.dataset.name, settings.dataset.digest
    ref = datasets.find(store, name, digest)
    if ref is None and digest is None:
        say(f"dataset {name} is not in {store.uri} yet: making it")
        if make is None:
            return _make_here(store, settings)
        ref = make(name)
    if ref is None:
        raise NotFound(
            f"{store.uri} has no dataset {name}-{digest}", hint=f"metaqnn-orch dataset list --store {store.uri}"
        )
    info = datasets.info(store, ref)
    _check_fit(settings, info)
    return Binding(dataset=ref, info=info)


def _make_here(store: Store, settings: Settings) -> Binding:
    name = settings.dataset.name
    # Made aside: what does not fit leaves nothing behind.
    with tempfile.TemporaryDirectory(prefix="metaqnn-") as directory:
        aside = open_store(directory)
        try:
            ref = datasets.push(aside, name, report=say)
        except NotFound as error:
            where = shlex.quote(store.uri)
            hint = f"metaqnn-orch dataset push {name} --source DIR --store {where} makes it from files"
            raise NotFound(str(error), hint) from None
        info = datasets.info(aside, ref)
        _check_fit(settings, info)
        key = keys.dataset(ref.name, ref.digest)
        store.put_if_absent(key, aside.get(key))
    return Binding(dataset=ref, info=info)


def _check_fit(settings: Settings, info: DatasetInfo) -> None:
    for key, wanted, found in (
        ("space.channels", settings.space.channels, info.channels),
        ("space.classes", settings.space.classes, info.classes),
    ):
        if wanted != found:
            raise SettingsError(f"{key} is {wanted}, but dataset {info.name} has {found}", hint=f"--set {key}={found}")
