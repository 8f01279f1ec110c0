"""A result is foreign until it is checked: against its request, and against what is known of its attempt."""

from __future__ import annotations

import pytest

from metaqnn_orch.control.ingest import MAX_CURVE, Trusted
from metaqnn_orch.control.surroundings import Outcome, Stop
from metaqnn_orch.errors import RunFailed
from metaqnn_orch.launchers.base import NO_OPTIONS, Phase
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode
from metaqnn_trainer.contract.messages import TrainingRequest, TrialSpec
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.fatal_store import SimulatedKill
from tests.control.test_budget import clocked, passes, takes
from tests.control.world import DATASET, ScriptedLauncher, Session, deliver, result_for, settings


def poison_first(store: Store, request: TrainingRequest, attempt: int) -> Phase:
    if attempt == 1:
        store.put(keys.result(request.run, request.trial), b"poison")
        return Phase.DELIVERED
    return deliver(store, request, attempt)


class FatalQuarantine(DirectoryStore):
    """Whoever wants to put something aside here is killed."""

    def put(self, key: str, data: bytes) -> None:
        if "/quarantine/" in key:
            raise SimulatedKill
        super().put(key, data)


def test_a_refused_result_is_charged_once_however_often_it_is_found_again(store: Store) -> None:
    chosen = settings(execution__max_trials=1)
    for number in range(4):
        session = Session(FatalQuarantine(store.uri, durable=False), chosen, f"killed {number}")
        session.open()
        with pytest.raises(SimulatedKill):
            session.search(ScriptedLauncher(store, poison_first, parallel=1))
        assert session.state.attempts_lost == 1
    last = Session(store, chosen, "last")
    assert last.run_to_end(poison_first, parallel=1) is Outcome.GOAL
    assert last.state.attempts_lost == 1
    assert store.get(keys.quarantine("test", next(iter(last.state.trials)), 1)) == b"poison"


def test_no_attempt_took_longer_than_it_was_there(store: Store) -> None:
    session = clocked(store, execution__max_trials=1, execution__retries=0)
    with pytest.raises(RunFailed, match=r"took 7200 s, but its trial began at most \d+ s ago"):
        session.run_to_end(takes(7200.0), parallel=1)
    honest = clocked(store, "two", execution__max_trials=1)
    assert honest.run_to_end(passes(honest, 7200.0), parallel=1) is Outcome.GOAL


def test_a_wall_clock_that_is_set_back_accuses_nobody(store: Store) -> None:
    session = clocked(store, execution__max_trials=1)
    session.now = lambda: "2026-01-01T00:00:00+00:00"
    assert session.run_to_end(passes(session, 7200.0), parallel=1) is Outcome.GOAL


def test_a_request_says_what_the_present_attempt_needs(store: Store) -> None:
    """It was begun elsewhere: on a machine without GPUs, say."""

    class Told(ScriptedLauncher):
        def launch(self, request: TrainingRequest, attempt: int) -> None:
            key = keys.request(request.run, request.trial)
            asked.append(decode(TrainingRequest, store.get(key), key).options.devices)
            super().launch(request, attempt)

    asked: list[int] = []
    one = settings(nets=["[SM(10)]"])
    for name, devices in (("laptop", 0), ("cluster", 2)):
        session = Session(store, one, name, stop=lambda: Stop.NOW if asked else Stop.NO)
        session.open()
        launcher = Told(store, lambda store, request, attempt: Phase.RUNNING, parallel=1)
        launcher.options = NO_OPTIONS.model_copy(update={"devices": devices})
        asked.clear()
        assert session.search(launcher) is Outcome.INTERRUPTED
        assert asked == [devices]


@pytest.mark.parametrize("epochs", [0, 20, MAX_CURVE, MAX_CURVE + 1])
def test_a_curve_is_told_unless_it_is_very_long(epochs: int) -> None:
    spec = TrialSpec(net="[SM(10)]", dataset=DATASET, image_size=8)
    result = result_for(TrainingRequest(run="test", trial=spec.trial_id(), spec=spec))
    trusted = Trusted(result, 0.5, (0.25,) * epochs)
    told = trusted.told("now", 1, whole_curve=False)
    assert told.curve == (trusted.curve if epochs <= MAX_CURVE else ())
    assert trusted.told("now", 1, whole_curve=True).curve == trusted.curve, "a rule for an early end needs it"
    assert len(told.model_dump_json()) < 32_000
