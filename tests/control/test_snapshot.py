"""Snapshots: as good as the fold where they can be used, and passed over where they cannot."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from metaqnn_orch.control import snapshot
from metaqnn_orch.control.events import Event
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.state import RunState
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.fatal_store import FatalStore, SimulatedKill
from tests.control.test_loop import crash_first
from tests.control.world import Session, settings


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Twelve nets with crashes on the way, one of them abandoned, and every entry of their journal."""
    store = DirectoryStore(tmp_path / "store")
    hopeless: list[str] = []
    crash = crash_first(1)

    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Any:
        if not hopeless:
            hopeless.append(request.trial)
        return crash_first(9)(store, request, 1) if request.trial in hopeless else crash(store, request, attempt)

    Session(store, settings()).run_to_end(behaviour)
    return store


def states(store: Store) -> list[RunState]:
    """The fold after each entry of the journal, made anew each time."""
    entries: list[list[Event]] = []
    journal = Journal(store, "test")
    for event in journal.read():
        while len(entries) < journal.position:
            entries.append([])
        entries[-1].append(event)
    return [folded(entries[:end]) for end in range(1, len(entries) + 1)]


def folded(entries: list[list[Event]]) -> RunState:
    state = RunState(settings())
    for entry in entries:
        for event in entry:
            state.apply(event)
    return state


def assert_same(found: RunState, wanted: RunState) -> None:
    """To the last bit, and in what they do next."""
    for name in ("step", "told", "unique", "abandoned", "attempts_lost", "trials", "by_net", "epsilon"):
        assert getattr(found, name) == getattr(wanted, name), name
    for name in ("opened", "finished", "best"):
        assert getattr(found, name) == getattr(wanted, name), name
    assert list(found.trials) == list(wanted.trials)
    assert list(found.in_flight) == list(wanted.in_flight)
    assert all(found.in_flight[name] is found.trials[name] for name in found.in_flight)
    assert all(found.by_net[trial.net] is trial for trial in found.trials.values())
    assert found.best is None or found.best is found.trials[found.best.trial]
    assert list(found.agent.replay) == list(wanted.agent.replay)
    assert sorted(map(repr, found.agent.q_table)) == sorted(map(repr, wanted.agent.q_table))
    for state in (found, wanted):
        for seed in range(5):
            state.agent.learn(state.agent.propose(0.3, Random(seed)), 0.7, Random(-seed))
    assert found.agent.q_table.digest() == wanted.agent.q_table.digest()


def test_after_every_entry_it_is_the_fold(store: Store) -> None:
    everything = states(store)
    assert len(everything) > 8
    assert everything[-1].abandoned == 1
    assert any(state.in_flight for state in everything)
    for position, state in enumerate(everything, 1):
        snapshot.save(store, "test", state, position)
        found = snapshot.load(store, "test", settings())
        assert found is not None
        assert found[1] == position
        assert_same(found[0], state)


def test_the_newest_two_are_kept(store: Store) -> None:
    for position, state in enumerate(states(store), 1):
        snapshot.save(store, "test", state, position)
    kept = [entry.key for entry in store.list(keys.snapshots("test"))]
    assert kept == [keys.snapshot("test", position - 1), keys.snapshot("test", position)]


def test_the_loop_writes_one_now_and_then(store: Store) -> None:
    writer, state = snapshot.Snapshots(store, "test", RunState(settings())), states(store)[-1]
    writer.consider(state, 3)
    assert list(store.list(keys.snapshots("test"))) == [], "twelve nets are folded in no time"
    state.told = snapshot.EVERY
    writer.consider(state, 3)
    writer.consider(state, 4)
    assert [entry.key for entry in store.list(keys.snapshots("test"))] == [keys.snapshot("test", 3)]
    state.told += snapshot.EVERY
    writer.consider(state, 4)
    assert len(list(store.list(keys.snapshots("test")))) == 2


def altered(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def alter(data: bytes) -> bytes:
        content = json.loads(gzip.decompress(data))
        change(content)
        return gzip.compress(json.dumps(content).encode())

    return alter


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "its end is missing": lambda data: data[:-1],
    "a bit is another": lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
    "something else": lambda data: b"PK\x03\x04",
    "no JSON": lambda data: gzip.compress(b"{"),
    "not UTF-8": lambda data: gzip.compress(b'{"release": "\xff"}'),
    "a list": lambda data: gzip.compress(b"[]"),
    "nested": lambda data: gzip.compress(b"[" * 100_000),
    "another release": altered(lambda content: content.update(release="0.0.0")),
    "another journal": altered(lambda content: content.update(entry="0" * 64)),
    "a counter is missing": altered(lambda content: content.pop("told")),
    "a trial is empty": altered(lambda content: content["trials"][0].clear()),
    "a trial that is none": altered(lambda content: content["in_flight"].append("0" * 12)),
    "a layer that is none": altered(lambda content: content["searcher"][0].__setitem__(1, "X(1)")),
    "a replay of nothing": altered(lambda content: content["presented"].append(10_000)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_one_that_cannot_be_used_is_passed_over(damage: Callable[[bytes], bytes], store: Store) -> None:
    everything = states(store)
    for position in (5, 7):
        snapshot.save(store, "test", everything[position - 1], position)
    newest = keys.snapshot("test", 7)
    store.put(newest, damage(store.get(newest)))
    found = snapshot.load(store, "test", settings())
    assert found is not None
    assert found[1] == 5, "the one before it is used"
    assert_same(found[0], everything[4])
    store.delete(keys.snapshot("test", 5))
    assert snapshot.load(store, "test", settings()) is None


def test_one_of_another_journal_is_passed_over(store: Store, tmp_path: Path) -> None:
    """A run was restored from a copy, and went another way from there."""
    other = DirectoryStore(tmp_path / "other")
    Session(other, settings(seed=1)).run_to_end()
    snapshot.save(other, "test", states(other)[-1], len(states(other)))
    key = keys.snapshot("test", len(states(other)))
    store.put(key, other.get(key))
    assert snapshot.load(store, "test", settings()) is None


def test_names_that_are_no_snapshots_are_no_trouble(store: Store) -> None:
    snapshot.save(store, "test", states(store)[3], 4)
    for name in ("readme.txt", "000000009.json", "x.json.gz"):
        store.put(keys.snapshots("test") + name, b"?")
    found = snapshot.load(store, "test", settings())
    assert found is not None
    assert found[1] == 4


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_call_while_writing(after: bool, store: Store) -> None:
    everything = states(store)
    for position in (3, 4):
        snapshot.save(store, "test", everything[position - 1], position)
    call, finished = 0, False
    while not finished:
        call += 1
        try:
            snapshot.save(FatalStore(store, call, after), "test", everything[5], 6)
            finished = True
        except SimulatedKill:
            found = snapshot.load(store, "test", settings())
            assert found is not None
            assert_same(found[0], states(store)[found[1] - 1])
    assert call > 3
