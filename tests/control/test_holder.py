"""Who may take a run: the living keep it, the dead and the finished give it up."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from metaqnn_orch.control.events import Opened
from metaqnn_orch.control.holder import LEASE_SECONDS, Hold, Holder, is_dead, read_holder, this_process
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.errors import RunHeld
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Clock


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return DirectoryStore(tmp_path)


def hold(store: Store, session: str, clock: Clock) -> Hold:
    return Hold(store, "run", this_process(session, "now"), clock.monotonic)


def claim(one: Hold, clock: Clock) -> list[str]:
    said: list[str] = []
    one.claim(clock.sleep, said.append)
    return said


def elsewhere(session: str = "far") -> Holder:
    """A process of another machine, whose number says nothing here."""
    return this_process(session, "noon").model_copy(update={"machine": "another", "host": "far-away", "pid": 42})


def test_a_new_run_is_taken_at_once(store: Store) -> None:
    clock = Clock()
    assert claim(hold(store, "one", clock), clock) == []
    seen = read_holder(store, "run")
    assert seen is not None
    assert (seen.session, seen.released) == ("one", False)
    assert clock.slept == []


def test_a_living_process_of_this_machine_keeps_its_run(store: Store) -> None:
    clock = Clock()
    claim(hold(store, "one", clock), clock)
    before = read_holder(store, "run")
    with pytest.raises(RunHeld, match=r"held by process \d+ on .*, last heard of at now"):
        claim(hold(store, "two", clock), clock)
    assert read_holder(store, "run") == before
    assert clock.slept == []


def test_a_dead_process_of_this_machine_gives_it_up_at_once(store: Store) -> None:
    code = (
        "import sys, time\n"
        "from metaqnn_orch.control.holder import Hold, this_process\n"
        "from metaqnn_trainer.store.directory import DirectoryStore\n"
        "Hold(DirectoryStore(sys.argv[1]), 'run', this_process('dead', 'now'), time.monotonic).beat('now')\n"
    )
    subprocess.run([sys.executable, "-c", code, store.uri], check=True)
    seen = read_holder(store, "run")
    assert seen is not None
    assert is_dead(seen)
    clock = Clock()
    claim(hold(store, "two", clock), clock)
    assert clock.slept == []


def test_a_process_number_used_again_is_no_mistake(store: Store) -> None:
    mine = this_process("old", "now")
    assert is_dead(mine) is False
    assert is_dead(mine.model_copy(update={"process_started": "1"})) is True


def test_a_released_run_is_free(store: Store) -> None:
    clock = Clock()
    one = hold(store, "one", clock)
    claim(one, clock)
    one.release()
    claim(hold(store, "two", clock), clock)
    assert clock.slept == []


def test_no_beat_follows_a_release(store: Store) -> None:
    clock = Clock()
    one = hold(store, "one", clock)
    claim(one, clock)
    one.release()
    clock.sleep(60)
    with pytest.raises(RunHeld, match="run run was released"):
        one.beat("later", "trouble")
    seen = read_holder(store, "run")
    assert seen is not None
    assert seen.released


def test_release_leaves_a_successor_alone(store: Store) -> None:
    clock = Clock()
    one = hold(store, "one", clock)
    claim(one, clock)
    store.put(keys.holder("run"), encode(elsewhere()))
    one.release()
    assert read_holder(store, "run") == elsewhere()


def test_a_silent_holder_elsewhere_is_watched_for_one_lease(store: Store) -> None:
    store.put(keys.holder("run"), encode(elsewhere()))
    clock = Clock()
    said = claim(hold(store, "two", clock), clock)
    assert "far-away" in said[0]
    assert LEASE_SECONDS <= clock.seconds <= LEASE_SECONDS + 2
    seen = read_holder(store, "run")
    assert seen is not None
    assert seen.session == "two"


def test_a_holder_elsewhere_that_moves_keeps_its_run(store: Store) -> None:
    store.put(keys.holder("run"), encode(elsewhere()))
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if len(clock.slept) == 5:
            store.put(keys.holder("run"), encode(elsewhere().model_copy(update={"beat": 1})))

    with pytest.raises(RunHeld, match="process 42 on far-away"):
        hold(store, "two", clock).claim(sleep, lambda text: None)
    assert clock.seconds < LEASE_SECONDS


def opened(store: Store, session: str) -> Journal:
    journal = Journal(store, "run", session)
    for _ in journal.read():
        pass
    journal.append([Opened(at="now", session=session, owner=session, version="0", goal=1)])
    return journal


def test_whoever_wrote_the_newest_entry_holds_the_run_whatever_another_says(store: Store) -> None:
    """Both looked before either wrote; the first to write into the journal goes on, and not neither."""
    clock = Clock()
    first, second = hold(store, "one", clock), hold(store, "two", clock)
    first.beat("now")
    second.beat("now")  # as in a claim that had begun before
    opened(store, "one")
    second.release()  # it was told by the journal
    clock.sleep(60)
    first.beat("later")
    seen = read_holder(store, "run")
    assert seen is not None
    assert (seen.session, seen.released) == ("one", False)


def test_one_that_wakes_up_in_the_midst_of_a_beat_disturbs_its_successor_once(store: Store) -> None:
    clock = Clock()
    old, new = hold(store, "old", clock), hold(store, "new", clock)
    claim(old, clock)
    opened(store, "old")
    store.put(
        keys.holder("run"), encode(old.me.model_copy(update={"released": True}))
    )  # long silence comes to the same
    claim(new, clock)
    opened(store, "new")
    store.put(keys.holder("run"), encode(old.me))  # it had looked before it fell asleep
    clock.sleep(60)
    new.beat("later")
    with pytest.raises(RunHeld, match="was taken over"):
        old.beat("later")
    seen = read_holder(store, "run")
    assert seen is not None
    assert seen.session == "new"


def test_garbage_in_holder_json_holds_nothing(store: Store) -> None:
    store.put(keys.holder("run"), b"\x00garbage")
    clock = Clock()
    claim(hold(store, "two", clock), clock)


def test_beats_are_rare(store: Store) -> None:
    clock = Clock()
    one = hold(store, "one", clock)
    for _ in range(100):
        one.beat("now")
        clock.sleep(0.1)
    seen = read_holder(store, "run")
    assert seen is not None
    assert seen.beat == 2


def test_no_secret_passes_into_the_store(store: Store) -> None:
    clock = Clock()
    one = hold(store, "one", clock)
    one.beat("now", "no answer from https://ada:hunter2@store.example/x?token=abc123def")
    seen = read_holder(store, "run")
    assert seen is not None
    assert seen.trouble == "no answer from https://***@store.example/x?token=***"
    beat = one.me.beat
    one.beat("now", "no answer from https://ada:hunter2@store.example/x?token=abc123def")
    assert one.me.beat == beat, "the same trouble is no news"


def test_while_the_work_waits_the_beats_say_what_for(store: Store) -> None:
    one = Hold(store, "run", this_process("one", "now"), time.monotonic, beat_seconds=0.02)
    one.beat("now")
    waits_for = ["no answer from the store"]
    with one.kept(lambda: "now", lambda: waits_for[0]):
        while (seen := read_holder(store, "run")) is None or seen.trouble != waits_for[0]:
            time.sleep(0.01)
    waits_for[0] = ""
    time.sleep(0.03)
    one.beat("now", "")  # of the work, which goes on
    seen = read_holder(store, "run")
    assert seen is not None
    assert seen.trouble == ""
