"""The hold on a run is kept by a thread of its own, however long the work takes."""

from __future__ import annotations

import threading
import time

import pytest

from metaqnn_orch.control.holder import Hold, Holder, read_holder, this_process
from metaqnn_orch.control.surroundings import Outcome
from metaqnn_orch.errors import RunHeld, StoreError
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import ScriptedLauncher, Session, settings
from tests.launchers.harness import until


def hold(store: Store, session: str = "one") -> Hold:
    return Hold(store, "test", this_process(session, "now"), time.monotonic, beat_seconds=0.02)


def beats(store: Store) -> int:
    seen = read_holder(store, "test")
    return seen.beat if seen is not None else 0


def taken_by(session: str) -> Holder:
    return this_process(session, "noon").model_copy(update={"machine": "another", "host": "far-away", "pid": 42})


def test_it_beats_while_nothing_else_happens(store: Store) -> None:
    mine = hold(store)
    mine.claim(time.sleep, lambda text: None)
    with mine.kept(lambda: "later"):
        before = beats(store)
        until(lambda: beats(store) > before + 3)
    seen = read_holder(store, "test")
    assert seen is not None
    assert seen.at == "later"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lease")]


def test_whoever_is_taken_over_meanwhile_learns_it_at_the_next_step(store: Store) -> None:
    mine = hold(store)
    mine.claim(time.sleep, lambda text: None)

    def work() -> None:
        while True:
            mine.beat("later")
            time.sleep(0.001)

    with mine.kept(lambda: "later"):
        store.put(keys.holder("test"), encode(taken_by("two")))
        with pytest.raises(RunHeld, match="taken over by process 42 on far-away"):
            work()
    assert read_holder(store, "test") == taken_by("two"), "a successor's hold is left alone"


@pytest.mark.parametrize("error", [StoreError("away"), TypeError("odd")])
def test_whatever_a_beat_raises_the_next_one_is_tried(store: Store, error: Exception) -> None:
    class Sometimes(DirectoryStore):
        fails = False

        def put(self, key: str, data: bytes) -> None:
            if self.fails:
                raise error
            super().put(key, data)

    shaky = Sometimes(store.uri, durable=False)
    mine = hold(shaky)
    mine.claim(time.sleep, lambda text: None)
    with mine.kept(lambda: "later"):
        shaky.fails = True
        time.sleep(0.2)
        shaky.fails = False
        before = beats(store)
        until(lambda: beats(store) > before + 2)


def test_results_that_are_read_slowly_cost_nobody_the_run(store: Store) -> None:
    under_way: set[str] = set()
    shown = 0

    class Slow(DirectoryStore):
        """Each result takes a while."""

        def get(self, key: str, first: int | None = None) -> bytes:
            if not key.endswith("result.json"):
                return super().get(key, first)
            under_way.add(key)
            time.sleep(0.05)
            under_way.remove(key)
            return super().get(key, first)

        def put(self, key: str, data: bytes) -> None:
            nonlocal shown
            super().put(key, data)
            shown += key == keys.holder("test") and bool(under_way)

    slow = Slow(store.uri, durable=False)
    session = Session(slow, settings(schedule__phases=[{"epsilon": 1.0, "unique": 120}]))
    session.open()
    session.hold = hold(slow)
    session.hold.claim(time.sleep, lambda text: None)
    began = time.monotonic()
    with session.hold.kept(lambda: "later"):
        assert session.search(ScriptedLauncher(slow, parallel=120)) is Outcome.GOAL
    assert time.monotonic() - began < 120 * 0.05, "several are read at a time"
    assert shown > 3, "and the hold is shown all the while"
