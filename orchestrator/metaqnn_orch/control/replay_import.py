"""Begins a run with the results of others: the rows of a replay database in the authors' format become told trials.

The rows become ordinary events, so that everything that reads or resumes a run works with this one. What the format
does not hold is computed (parameters, multiply-accumulates) or left at zero (seconds).

run.json is written first: it takes the name, and says which file is to follow. Then follows the file itself, for what
events do not hold: an export returns it. Then a single entry of the journal holds all events. If the import is cut
short in between, the run is refused by every command but the same import, which completes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from metaqnn_orch.control.events import Event, Opened, Proposed, Told
from metaqnn_orch.control.holder import Holder
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.objective import Evidence, told
from metaqnn_orch.control.record import Imported, RunRecord, check_same, create_record, stand_in
from metaqnn_orch.control.snapshot import save
from metaqnn_orch.control.state import RunState
from metaqnn_orch.errors import RunConflict, one_line
from metaqnn_orch.replay.database import Presentation, Replay
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.plugged import plugins_of
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.base import Store


def import_run(
    store: Store, run: str, settings: Settings, replay: Replay, me: Holder, *, version: str, uid: str
) -> RunState:
    """Write the run, or complete one that the same import began. Returns its state.

    Raises:
        RunConflict: a run of this name exists.
        RunHeld: the same import, somewhere else, was faster.
        MessageError: the objective needs a measure that the file does not hold.
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
        plugins=plugins_of(settings),
        imported=Imported(
            file=one_line(replay.file),
            sha256=sha256,
            rows=len(replay.presentations),
            refused=replay.refusals.count,
        ),
    )
    told_ones = [*_events(record, settings, replay.presentations)]  # an error in the events is found here
    journal = Journal(store, run, me.session)
    found = create_record(store, record)
    if found.imported is None or found.imported.sha256 != sha256 or any(True for _ in journal.read()):
        raise RunConflict(f"a run {run!r} exists in {store.uri}", hint="give the import another --run name")
    check_same(found, settings)
    store.put(keys.run_imported(run), replay.data)
    state = RunState(settings)
    opened = Opened(at=me.at, session=me.session, owner=me.owner, version=version, goal=settings.goal)
    events: list[Event] = [opened, *told_ones]
    for event in events:
        state.apply(event)
    journal.append(events)
    save(store, run, state, journal.position)
    return state


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
        cost, measures = space.cost(shown.net), {"accuracy": shown.accuracy}
        outcome = Evidence(shown.accuracy, measures, space.measures(shown.net), shown.learned)
        yield Told(
            at=shown.finished.isoformat(),
            trial=trial,
            attempt=0,
            status="completed" if shown.learned else "untrainable",
            reward=told(settings.objective, outcome),
            measures=measures,
            params=cost.params,
            macs=cost.macs,
            seconds=0.0,
            device=shown.machine,
        )
