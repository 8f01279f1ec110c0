"""A run that begins with what others have trained: the authors' replay database as told trials.

The file's rows become ordinary events, so that everything that reads or resumes a run does so with this one. What the
format does not hold is computed (parameters, multiply-accumulates) or left at zero (seconds).

run.json comes first: it takes the name, and says which file is to follow. Then the file itself, for what events do not
hold: an export gives it back. Then one single entry of the journal holds all of it. Cut short in between, the run is
refused by everything but the same import, which completes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from metaqnn_orch.control.events import Event, Opened, Proposed, Told
from metaqnn_orch.control.holder import Holder
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.record import Imported, RunRecord, check_same, create_record, stand_in
from metaqnn_orch.control.snapshot import save
from metaqnn_orch.control.state import RunState
from metaqnn_orch.errors import BadInput, RunConflict, one_line
from metaqnn_orch.replay_format import Refusals, Row, RowError, read_rows
from metaqnn_orch.settings import Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.spaces.base import IllegalDesign
from metaqnn_trainer.spaces.cnn.notation import format_net
from metaqnn_trainer.spaces.cnn.space import Cnn
from metaqnn_trainer.store.base import Store

REQUIRED = ("net", "accuracy_best_val", "ix_q_value_update", "epsilon")


class Presentation(NamedTuple):
    """One row: a net presented to the agent."""

    line: int
    net: str
    accuracy: float
    epsilon: float
    update: float
    """Presentations are ordered by it."""
    finished: datetime
    machine: str
    learned: bool
    """False where every learning rate failed and the net counts as trained at chance."""


class Replay(NamedTuple):
    """A file's presentations in the order of their telling, and what was refused."""

    file: str
    data: bytes
    presentations: list[Presentation]
    refusals: Refusals

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def read_replay(data: bytes, file: str, settings: Settings) -> Replay:
    """The rows that a run with these settings can be told.

    Raises:
        BadInput: it is no replay database, or has no row that can be used.
    """
    refusals = Refusals()
    space = settings.state_space()
    rows: list[Presentation] = []
    for row in read_rows(data, file, REQUIRED, refusals):
        try:
            rows.append(_presentation(row, space))
        except RowError as error:
            refusals.add(row.line, error)
    accuracies: dict[str, float] = {}
    told: list[Presentation] = []
    for shown in sorted(rows, key=lambda shown: shown.update):
        known = accuracies.setdefault(shown.net, shown.accuracy)
        if known == shown.accuracy:
            told.append(shown)
        else:
            refusals.add(
                shown.line, RowError(f"its accuracy is {shown.accuracy:g}, but this net was told as {known:g}")
            )
    if not told:
        raise BadInput(f"{file} has no row that can be used", hint=str(refusals) if refusals.count else "")
    return Replay(file, data, told, refusals)


def import_run(
    store: Store, run: str, settings: Settings, replay: Replay, me: Holder, *, version: str, uid: str
) -> RunState:
    """Write the run, or complete one that the same import began. Returns its state.

    Raises:
        RunConflict: a run of this name exists.
        RunHeld: the same import, somewhere else, was faster.
    """
    sha256 = replay.sha256
    nothing = stand_in(settings, sha256[:16], f"none: imported from {replay.file}")
    settings = settings.on(nothing.dataset.digest)
    record = RunRecord(
        run=run,
        uid=uid,
        created_at=me.at,
        version=version,
        settings=settings.identity(),
        dataset=nothing.dataset,
        info=nothing.info,
        imported=Imported(
            file=one_line(replay.file),
            sha256=sha256,
            rows=len(replay.presentations),
            refused=replay.refusals.count,
        ),
    )
    journal = Journal(store, run, me.session)
    found = create_record(store, record)
    if found.imported is None or found.imported.sha256 != sha256 or any(True for _ in journal.read()):
        raise RunConflict(f"a run {run!r} exists in {store.uri}", hint="give the import another --run name")
    check_same(found, settings)
    store.put(keys.run_imported(run), replay.data)
    state = RunState(settings)
    opened = Opened(at=me.at, session=me.session, owner=me.owner, version=version, goal=settings.goal)
    events = [opened, *_events(record, settings, replay.presentations)]
    for event in events:
        state.apply(event)
    journal.append(events)
    save(store, run, state, journal.position)
    return state


def _presentation(row: Row, space: Cnn) -> Presentation:
    net = format_net(row.net())
    try:
        space.walk(net)
    except IllegalDesign as error:
        raise RowError(f"the space does not hold the net: {error}") from None
    accuracy = row.probability("accuracy_best_val")
    at_chance = accuracy == 1 / space.rules.classes
    return Presentation(
        line=row.line,
        net=net,
        accuracy=accuracy,
        epsilon=row.probability("epsilon"),
        update=row.number("ix_q_value_update"),
        finished=_time(row),
        machine=one_line(row.cells.get("machine_run_on", ""), 200),
        learned=not (at_chance and "iter_best_val" in row.cells and row.number("iter_best_val") == 0),
    )


def _time(row: Row) -> datetime:
    seconds = row.number("time_finished") if "time_finished" in row.cells else 0.0
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise RowError(f"time_finished is {seconds:g}, which is no time in seconds since 1970") from None


def _events(record: RunRecord, settings: Settings, presentations: Iterable[Presentation]) -> Iterator[Event]:
    space = settings.state_space()
    trials: dict[str, str] = {}
    for step, shown in enumerate(presentations):
        known = trials.get(shown.net)
        trial = known or record.spec(settings, shown.net).trial_id()
        yield Proposed(step=step, epsilon=shown.epsilon, net=shown.net, trial=trial)
        if known is not None:
            continue
        trials[shown.net] = trial
        cost = space.cost(shown.net)
        yield Told(
            at=shown.finished.isoformat(),
            trial=trial,
            attempt=0,
            status="completed" if shown.learned else "untrainable",
            val_accuracy=shown.accuracy,
            params=cost.params,
            macs=cost.macs,
            seconds=0.0,
            device=shown.machine,
        )
