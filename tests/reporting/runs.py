"""A run whose journal is written by hand: every kind of ending, times, and text that means harm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from metaqnn_orch.control.events import Abandoned, Event, Failed, Finished, Opened, Proposed, Told
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.record import RunRecord, create_record
from metaqnn_orch.reporting.summary import RunView, read_run
from metaqnn_orch.search.agent import Agent
from metaqnn_orch.search.q_table import QTable
from metaqnn_trainer.store.base import Store
from tests.control.stopping import enabled, trained
from tests.control.world import DATASET, INFO, Session, accuracy_of, settings

POISON = "</script><script>document.title = 'poisoned'</script><img src=x onerror=alert(1)> & \"quotes\""
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def write_run(store: Store, nets: int = 24) -> RunView:
    """`nets` trials of 10 seconds, two at a time: the first too large, the second untrainable, the others trained; one
    more that was disrupted once and crashed until it was given up, and one that is in flight."""
    wanted = settings(schedule={"phases": [{"epsilon": 1.0, "unique": nets}, {"epsilon": 0.1, "unique": nets}]})
    record = RunRecord(
        run="test",
        uid="0" * 32,
        created_at=at(0),
        version="0.1.0",
        settings=wanted.identity(),
        dataset=DATASET,
        info=INFO.model_copy(update={"source": POISON}),
    )
    create_record(store, record)
    agent, random = Agent(wanted.state_space(), QTable()), Random(0)
    known: dict[str, None] = {}
    while len(known) < nets + 2:
        known[agent.propose(1.0, random)] = None
    *ended, lost, open_one = known
    events: list[Event] = [Opened(at=at(0), session="s", owner=POISON, version="0.1.0", goal=2 * nets)]

    def propose(net: str, step: int) -> str:
        trial = record.spec(wanted, net).trial_id()
        events.append(Proposed(step=step, epsilon=1.0 if step < nets // 2 else 0.1, net=net, trial=trial))
        return trial

    for step, net in enumerate(ended):
        trial = propose(net, step)
        events.append(
            Told(
                at=at(10 * (step // 2 + 1)),
                trial=trial,
                attempt=1,
                status="too_large" if step == 0 else "untrainable" if step == 1 else "completed",
                reward=(accuracy := 0.1 if step < 2 else accuracy_of(net)),
                measures={"accuracy": accuracy},
                curve=() if step < 2 else (accuracy / 3, accuracy / 2, accuracy),
                params=1000 + 10 * step,
                macs=5000 + step,
                seconds=10.0,
                device="cpu",
            )
        )
    trial = propose(lost, nets)
    for attempt, kind in enumerate(("disrupted", "crashed", "crashed", "crashed"), 1):
        events.append(Failed.model_validate({**_failed(attempt), "trial": trial, "kind": kind}))
    events += [Abandoned(at=at(60), trial=trial), Finished(at=at(61), reason="goal")]
    propose(open_one, nets + 1)
    Journal(store, "test", "s").append(events)
    return read_run(store, "test")


def _failed(attempt: int) -> dict[str, object]:
    return {"at": at(10 * attempt), "attempt": attempt, "detail": POISON}


def write_run_with_stopped_nets(store: Store) -> RunView:
    """A run in which many nets were stopped early."""
    Session(store, enabled()).run_to_end(trained)
    return read_run(store, "test")
