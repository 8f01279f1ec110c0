"""The journal: one writer, nothing lost, damage named."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.control.events import Abandoned, Event, Finished, Left, Opened, Proposed, decode_entry, encode_entry
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.errors import JournalError, RunHeld
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.base import Store


def proposed(step: int) -> Proposed:
    return Proposed(step=step, epsilon=1.0, net="[SM(10)]", trial=f"{step:012x}")


def opened(owner: str) -> Opened:
    return Opened(at="now", session=owner, owner=owner, version="0", goal=1)


def filled(store: Store, entries: int = 4) -> Journal:
    journal = Journal(store, "run", "one")
    for step in range(entries):
        journal.append([proposed(2 * step), proposed(2 * step + 1)])
    return journal


def test_what_was_appended_is_read_in_order(store: Store) -> None:
    filled(store, 12)
    reader = Journal(store, "run")
    assert [event.step for event in reader.read() if isinstance(event, Proposed)] == list(range(24))
    assert reader.position == 12
    assert list(reader.read()) == []


def test_reading_goes_on_where_it_stopped(store: Store) -> None:
    journal = filled(store, 1)
    reader = Journal(store, "run")
    assert len(list(reader.read())) == 2
    journal.append([proposed(2)])
    assert [event.step for event in reader.read() if isinstance(event, Proposed)] == [2]


def test_of_racing_writers_one_goes_on_and_the_others_learn_who(store: Store) -> None:
    winners, losers = [], []
    barrier = threading.Barrier(8)

    def write(name: str) -> None:
        barrier.wait()
        try:
            Journal(store, "run", name).append([opened(name)])
            winners.append(name)
        except RunHeld as error:
            losers.append(str(error))

    threads = [threading.Thread(target=write, args=(f"writer-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    assert losers == [f"run run was taken over by {winners[0]}"] * 7
    assert len(list(store.list(keys.journal("run")))) == 1


def test_who_opened_before_one_looked_is_named_too(store: Store) -> None:
    first = Journal(store, "run", "first")
    first.append([opened("first")])
    second = Journal(store, "run", "second")
    assert list(second.read()) == [opened("first")]
    first.append([Abandoned(at="now", trial="0" * 12)])
    with pytest.raises(RunHeld, match="run run was taken over by first"):
        second.append([opened("second")])


def test_a_gap_is_named_with_the_last_good_entry(store: Store) -> None:
    filled(store)
    store.delete(keys.journal_entry("run", 3))
    with pytest.raises(JournalError, match=r"expected .*000000003\.jsonl, found .*000000004\.jsonl") as caught:
        list(Journal(store, "run").read())
    assert "number 2" in caught.value.hint


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-20],
        lambda data: data[: data.index(b"\n") + 1],
        lambda data: b"",
        lambda data: data.replace(b'"step"', b'"stop"', 1),
        lambda data: data.replace(b'"type":"proposed"', b'"type":"unheard-of"', 1),
        lambda data: data.replace(b'"schema_version":1', b'"schema_version":2'),
        lambda data: b"\xff" + data,
        lambda data: data + data.splitlines(keepends=True)[-1],
        lambda data: b"[" * 100_000,
    ],
)
def test_damage_is_named_with_the_object_and_the_last_good_entry(store: Store, damage: object) -> None:
    filled(store)
    key = keys.journal_entry("run", 2)
    assert callable(damage)
    store.put(key, damage(store.get(key)))
    with pytest.raises(JournalError, match=r"000000002\.jsonl") as caught:
        list(Journal(store, "run").read())
    assert "number 1" in caught.value.hint
    assert "\n" not in str(caught.value)


text = st.text(max_size=40)
events = st.lists(
    st.one_of(
        st.builds(Opened, at=text, session=text, owner=text, version=text, goal=st.integers(1, 10**6)),
        st.builds(Proposed, step=st.integers(0), epsilon=st.floats(0, 1), net=text, trial=st.just("0" * 12)),
        st.builds(Abandoned, at=text, trial=st.just("f" * 12)),
        st.builds(Left, at=text, seconds=st.tuples(st.floats(0, 1e8))),
        st.builds(Finished, at=text, reason=st.sampled_from(["goal", "exhausted"])),
    ),
    max_size=5,
)


@given(events)
def test_entries_survive_the_trip(some: list[Event]) -> None:
    assert decode_entry(encode_entry("one", some), "key") == some


@given(st.binary(max_size=200))
def test_any_bytes_are_an_entry_or_a_journal_error(data: bytes) -> None:
    with suppress(JournalError):
        decode_entry(data, "key")
