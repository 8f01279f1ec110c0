"""What nobody needs any more goes, says why, and nothing else goes with it."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from metaqnn_orch.control.retention import AT_ONCE, Removed, Why, orphans, read_removed, remove, surplus
from metaqnn_orch.control.surroundings import Outcome, Stop
from metaqnn_orch.errors import SettingsError, StoreError
from metaqnn_orch.launchers.base import Phase
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import decode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Session, deliver, settings

NOTE = Removed(at="now", by="a test")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return DirectoryStore(tmp_path / "store", durable=False)


def with_weights(store: Store) -> set[str]:
    listed = store.list(keys.trials("test"))
    return {entry.key.split("/")[3] for entry in listed if "/weights" in entry.key}


def checkpointed(store: Store, request: TrainingRequest, attempt: int) -> Phase:
    """Some trials crash for ever and leave a checkpoint behind."""
    if "GAP" not in request.spec.net:
        return deliver(store, request, attempt)
    store.put(keys.checkpoint(request.run, request.trial), b"half trained")
    store.put(keys.epochs(request.run, request.trial), b"so far")
    return Phase.CRASHED


@pytest.mark.parametrize("keep", [1, 3, 30])
def test_the_best_nets_keep_their_weights_while_a_search_goes_on(store: Store, keep: int) -> None:
    session = Session(store, settings(execution__keep_weights=f"best {keep}"))
    assert session.run_to_end() is Outcome.GOAL
    best = {trial.trial for trial in session.state.ranking()[:keep]}
    assert with_weights(store) == best
    for trial in session.state.trials:
        removed = read_removed(store, "test", trial)
        assert (removed is None) == (trial in best)
        assert removed is None or removed.by == f"execution.keep_weights=best {keep}"


def test_all_is_the_default_and_may_change_when_the_run_goes_on(store: Store) -> None:
    first = Session(store, settings(execution__max_trials=11))
    first.run_to_end()
    assert len(with_weights(store)) == 11
    Session(store, settings(execution__keep_weights="best 2"), "two").run_to_end()
    assert len(with_weights(store)) == 2


def test_of_thousands_a_search_removes_a_few_at_a_time_and_all_in_the_end(store: Store) -> None:
    """And looks at its trials between them."""
    wanted: dict[str, object] = {"schedule__phases": [{"epsilon": 1.0, "unique": 120}]}
    Session(store, settings(**wanted, execution__max_trials=110)).run_to_end(parallel=110)
    order: list[str] = []

    class Watched(DirectoryStore):
        def delete(self, key: str) -> None:
            order.append("delete")
            super().delete(key)

    session = Session(Watched(store.uri, durable=False), settings(**wanted, execution__keep_weights="best 5"), "two")
    session.on_event = lambda event: order.append(event.type)
    assert session.run_to_end() is Outcome.GOAL
    assert len(with_weights(store)) == 5
    runs = [len(list(group)) for what, group in groupby(order) if what == "delete"]
    assert sum(runs) == 115
    assert max(runs) <= AT_ONCE


def test_whoever_wants_to_leave_does_not_wait_until_all_is_tidy(store: Store) -> None:
    wanted: dict[str, object] = {"schedule__phases": [{"epsilon": 1.0, "unique": 120}]}
    Session(store, settings(**wanted, execution__max_trials=119)).run_to_end(parallel=119)
    session = Session(store, settings(**wanted, execution__keep_weights="best 1"), "two")
    session.stop = lambda: Stop.NOW if len(with_weights(store)) < 100 else Stop.NO
    session.run_to_end()
    assert len(with_weights(store)) > 50


def test_checkpoints_and_epochs_of_abandoned_trials_go(store: Store) -> None:
    session = Session(store, settings(execution__retries=0))
    session.run_to_end(checkpointed)
    assert session.state.abandoned
    assert not [
        entry for entry in store.list(keys.trials("test")) if entry.key.endswith(("/checkpoint", "/epochs.jsonl"))
    ]


def test_what_is_in_flight_or_unknown_is_left_alone(store: Store) -> None:
    session = Session(store, settings(execution__max_trials=3))
    session.run_to_end()
    told = next(iter(session.state.trials))
    session.state.trials[told].state = "in_flight"
    foreign = ["runs/test/trials/0123456789ab/checkpoint", f"runs/test/trials/{told}/notes.txt", "runs/test/run.json"]
    for key in [*foreign, keys.checkpoint("test", told), keys.epochs("test", told)]:
        store.put(key, b"x")
    found = surplus(session.state, store.list("runs/test/"), "test", 1)
    assert {thing.trial for thing in found} == {*session.state.trials} - {told} - {session.state.ranking()[0].trial}
    assert {thing.why for thing in found} == {Why.BEYOND}


def test_a_store_that_fails_while_tidying_stops_nothing_and_is_asked_again(store: Store) -> None:
    class Reluctant(DirectoryStore):
        refusals = 2

        def delete(self, key: str) -> None:
            if "/weights" in key and self.refusals:
                self.refusals -= 1
                raise StoreError("not now")
            super().delete(key)

    session = Session(Reluctant(store.uri, durable=False), settings(execution__keep_weights="best 2"))
    assert session.run_to_end() is Outcome.GOAL
    assert len(with_weights(store)) == 2


def test_removing_twice_is_removing_once(store: Store) -> None:
    session = Session(store, settings(execution__max_trials=3))
    session.run_to_end()
    found = surplus(session.state, list(store.list("runs/test/")), "test", 1)
    for thing in [*found, *found]:
        remove(store, "test", thing, NOTE)
    assert len(with_weights(store)) == 1


def killed_first(store: Store, request: TrainingRequest, attempt: int) -> Phase:
    """The first attempt of every trial is killed before its result is there, and so is every other of some."""
    trained = f"{attempt} of {request.trial}".encode()
    for kind in ("history", "weights"):
        artifacts.put(store, request.run, request.trial, kind, trained)
    return Phase.CRASHED if attempt == 1 or "GAP" in request.spec.net else deliver(store, request, attempt)


def siblings(store: Store) -> set[str]:
    return {
        entry.key for entry in store.list(keys.trials("test")) if "/weights" in entry.key or "/history" in entry.key
    }


def test_what_killed_attempts_left_is_nobodys(store: Store) -> None:
    session = Session(store, settings(execution__retries=1, execution__brake_after=0))
    session.run_to_end(killed_first)
    assert session.state.abandoned
    assert session.state.told
    found = orphans(store, session.state, store.list(keys.trials("test")), "test")
    assert {thing.why for thing in found} == {Why.ORPHAN}
    assert len(found) == 4 * len(session.state.trials)
    for thing in found:
        remove(store, "test", thing, NOTE)
        assert read_removed(store, "test", thing.trial) is None
    named = {trial.trial for trial in session.state.trials.values() if trial.was_trained}
    assert with_weights(store) == named
    for trial in named:
        result = decode(TrainingResult, store.get(keys.result("test", trial)), "result")
        assert result.weights is not None
        artifacts.read(store, "test", trial, "weights", result.weights)
    assert len(siblings(store)) == len(named)


@pytest.mark.parametrize("result", [None, b"", b"{}", b"x" * 2_000_000])
def test_nothing_is_an_orphan_whose_result_cannot_be_read(store: Store, result: bytes | None) -> None:
    session = Session(store, settings(execution__max_trials=3))
    session.run_to_end(lambda *asked: killed_first(*asked) and deliver(*asked))
    first, second, third = session.state.trials.values()
    second.state = "in_flight"
    store.delete(keys.result("test", first.trial))
    if result is not None:
        store.put(keys.result("test", first.trial), result)
    found = orphans(store, session.state, store.list(keys.trials("test")), "test")
    assert {thing.trial for thing in found} == {third.trial}


def test_what_a_result_that_came_too_late_names_stays(store: Store) -> None:
    session = Session(store, settings(execution__max_trials=3))
    session.run_to_end()
    for trial in session.state.trials.values():
        trial.state = "abandoned"
    assert orphans(store, session.state, store.list(keys.trials("test")), "test") == []


@pytest.mark.parametrize("text", ["best 0", "best", "none", "best -1", "all 3", "best 1e3"])
def test_other_settings_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"execution\.keep_weights"):
        settings(execution__keep_weights=text)
