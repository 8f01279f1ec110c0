"""What every store promises, asked of each in the same words."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metaqnn_orch.errors import ObjectMissing, StoreError
from metaqnn_trainer.store.base import Entry, Store, exists, honours_put_if_absent
from metaqnn_trainer.store.opening import open_store
from metaqnn_trainer.store.patient import PATIENCE


def keys(store: Store, prefix: str = "") -> list[str]:
    return [entry.key for entry in store.list(prefix)]


@pytest.mark.parametrize("data", [b"", b"\n", bytes(range(256)), "žluťoučký".encode() * 100])
def test_what_was_put_is_got(store: Store, data: bytes) -> None:
    store.put("runs/a/run.json", data)
    assert store.get("runs/a/run.json") == data
    assert list(store.list("runs/")) == [Entry("runs/a/run.json", len(data))]


def test_another_process_opens_the_same_store_with_its_uri(store: Store) -> None:
    store.put("a/b", b"1")
    again = open_store(store.uri)
    assert again.uri == store.uri
    assert again.get("a/b") == b"1"


def test_an_object_of_eight_mebibytes(store: Store) -> None:
    data = random.Random(7).randbytes(8 << 20)
    assert store.put_if_absent("datasets/big.safetensors", data)
    assert store.get("datasets/big.safetensors") == data
    assert store.get("datasets/big.safetensors", first=3) == data[:3]


def test_put_replaces(store: Store) -> None:
    store.put("a", b"a long first version")
    store.put("a", b"short")
    assert store.get("a") == b"short"
    assert list(store.list("")) == [Entry("a", 5)]


def test_put_if_absent_leaves_what_is_there(store: Store) -> None:
    assert store.put_if_absent("a/b", b"first") is True
    assert store.put_if_absent("a/b", b"second") is False
    assert store.put_if_absent("a/b", b"first") is False, "equal bytes of somebody else are no success"
    assert store.get("a/b") == b"first"
    store.put("a/c", b"plain")
    assert store.put_if_absent("a/c", b"") is False
    assert store.get("a/c") == b"plain"


def test_put_if_absent_can_win_again_after_a_delete(store: Store) -> None:
    assert store.put_if_absent("a", b"1")
    store.delete("a")
    assert store.put_if_absent("a", b"2")
    assert store.get("a") == b"2"


def test_stat_is_the_size_of_what_is_there(store: Store) -> None:
    for data in (b"", b"01234", bytes(100_000)):
        store.put("runs/a/weights", data)
        assert store.stat("runs/a/weights").size == len(data)
    for key in ("runs/a/weight", "runs/a", "runs/a/weights/deeper", "never"):
        with pytest.raises(ObjectMissing, match=f"{key}: no such object$"):
            store.stat(key)


def test_exists(store: Store) -> None:
    assert not exists(store, "a/b")
    store.put("a/b", b"")
    assert exists(store, "a/b")
    assert not exists(store, "a")
    store.delete("a/b")
    assert not exists(store, "a/b")


def test_a_patient_store_is_a_store(store: Store) -> None:
    patient = open_store(store.uri, PATIENCE)
    assert patient.uri == store.uri
    assert patient.put_if_absent("a", b"1")
    assert not patient.put_if_absent("a", b"1"), "equal bytes of somebody else are no success"
    patient.put("b", b"23")
    assert [store.get("a"), patient.get("b"), patient.get("b", 1)] == [b"1", b"23", b"2"]
    assert list(patient.list("")) == list(store.list(""))
    assert patient.stat("b") == store.stat("b")
    patient.delete("b")
    assert not exists(store, "b")


def test_first_bytes(store: Store) -> None:
    store.put("a", b"0123456789")
    for first in (0, 1, 9, 10):
        assert store.get("a", first=first) == b"0123456789"[:first]


def test_first_bytes_of_less(store: Store) -> None:
    store.put("short", b"01")
    store.put("empty", b"")
    assert store.get("short", first=1000) == b"01"
    assert store.get("empty", first=1000) == b""
    assert store.get("empty", first=0) == b""


@pytest.mark.parametrize("first", [None, 0, 5])
def test_what_is_not_there_is_missing(store: Store, first: int | None) -> None:
    with pytest.raises(ObjectMissing, match=r"runs/a/result\.json"):
        store.get("runs/a/result.json", first)
    store.put("runs/a/result.json", b"{}")
    with pytest.raises(ObjectMissing):
        store.get("runs/a/result.jso", first)
    with pytest.raises(ObjectMissing):
        store.get("runs/a", first)
    with pytest.raises(ObjectMissing):
        store.get("runs/a/result.json/deeper", first)


def test_delete(store: Store) -> None:
    store.put("a/b", b"1")
    store.put("a/bc", b"2")
    store.delete("a/b")
    store.delete("a/b")
    store.delete("never/was/there")
    store.delete("a")
    assert keys(store) == ["a/bc"]
    with pytest.raises(ObjectMissing):
        store.get("a/b")


def test_an_empty_store_lists_nothing(store: Store) -> None:
    assert keys(store) == []
    assert keys(store, "runs/") == []


# Names chosen so that walking a tree, sorting whole keys and sorting by words give three different orders.
NAMES = ["a-b", "a.json", "a/b", "a/b-c", "a/b/c", "a/c", "a0", "aa", "b", "b-", "b_", "b0/0", "b0/1/1", "b00/x", "z9"]


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "a/b/", "b0", "b0/", "b0/1/", "c", "z9", "z9/", "a-"])
def test_list_shows_a_prefix_in_the_order_of_bytes(store: Store, prefix: str) -> None:
    names = [name for name in NAMES if name != "a/b"]  # a file system cannot hold "a/b" beside "a/b/c"
    for name in random.Random(3).sample(names, len(names)):
        store.put(name, name.encode())
    expected = sorted(name for name in names if name.startswith(prefix))
    assert list(store.list(prefix)) == [Entry(name, len(name)) for name in expected]
    beyond = prefix.rfind("/") + 1
    assert store.names(prefix) == tuple(sorted({name[beyond:].split("/")[0] for name in expected}))


def test_names_and_lists_are_complete_beyond_a_page(store: Store) -> None:
    names = [f"{number:04d}" for number in range(1, 1207)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store.put(f"runs/{name}/trials/x", b"x"), names))
    assert keys(store, "runs/") == [f"runs/{name}/trials/x" for name in names]
    assert store.names("runs/") == (*names,)
    assert store.names("runs/12") == (*names[1199:],)
    store.delete("runs/0001/trials/x")
    assert {*store.names("runs/")} - {"0001"} == {*names[1:]}, "some servers keep the name for a while"


def test_list_copes_with_objects_that_vanish_meanwhile(store: Store) -> None:
    for number in range(30):
        store.put(f"d{number % 3}/{number:02d}", b"")
    listing = store.list("")
    seen = [next(listing).key]
    for number in range(30):
        store.delete(f"d{number % 3}/{number:02d}")
    seen += [entry.key for entry in listing]
    assert seen == sorted(set(seen))
    assert keys(store) == []


BAD_KEYS = [
    "",
    "/",
    "a/",
    "/a",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/./b",
    ".tmp",
    "a/.b",
    "A",
    "a b",
    "a\n",
    "\0",
    "é",
]
BAD_KEYS += ["a\\b", "%2e%2e/a", "a" * 256, "/".join(["abcdefghi"] * 60), "a:b", "~", "٣"]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_what_is_no_key_is_refused_by_every_verb(store: Store, key: str) -> None:
    with pytest.raises(StoreError, match="is not a valid key"):
        store.put(key, b"")
    with pytest.raises(StoreError, match="is not a valid key"):
        store.put_if_absent(key, b"")
    with pytest.raises(StoreError, match="is not a valid key"):
        store.get(key)
    with pytest.raises(StoreError, match="is not a valid key"):
        store.stat(key)
    with pytest.raises(StoreError, match="is not a valid key"):
        store.delete(key)
    if key not in ("", "a/"):  # both are prefixes
        with pytest.raises(StoreError, match="is not a valid key"):
            store.list(key)
    assert keys(store) == []


def test_the_longest_key(store: Store) -> None:
    key = "/".join(["a" * 255, "b" * 255, "c"])
    assert len(key) == 513
    with pytest.raises(StoreError):
        store.put(key, b"")
    key = "/".join(["a" * 255, "b" * 254, "c"])
    store.put(key, b"1")
    assert store.put_if_absent(key, b"2") is False
    assert keys(store) == [key]


def test_one_of_many_racing_threads_wins(store: Store) -> None:
    racers, rounds = 5, 4  # SeaweedFS lets the losers of a race wait for seconds
    barrier = Barrier(racers)

    def race(racer: int) -> list[bool]:
        won = []
        for number in range(rounds):
            barrier.wait()
            won.append(store.put_if_absent(f"journal/{number}", f"racer {racer}".encode()))
        return won

    with ThreadPoolExecutor(racers) as pool:
        results = list(pool.map(race, range(racers)))
    for number in range(rounds):
        winners = [racer for racer in range(racers) if results[racer][number]]
        assert len(winners) == 1
        assert store.get(f"journal/{number}") == f"racer {winners[0]}".encode()


RACER = """
import sys, time
from metaqnn_trainer.store.opening import open_store
uri, me, start = sys.argv[1], sys.argv[2], float(sys.argv[3])
store = open_store(uri)
time.sleep(max(0.0, start - time.time()))
print(*[number for number in range(40) if store.put_if_absent(f"race/{number}", me.encode() * 1000)])
"""


def test_one_of_many_racing_processes_wins(store: Store) -> None:
    start = str(time.time() + 1.5)  # imports are over by then
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, store.uri, me, start], stdout=subprocess.PIPE, text=True)
        for me in "abc"
    ]
    won = Counter(number for racer in racers for number in racer.communicate()[0].split())
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert won == {str(number): 1 for number in range(40)}
    assert all(len(set(store.get(f"race/{number}"))) == 1 for number in range(40))


def test_threads_do_not_disturb_each_other(store: Store) -> None:
    def work(me: int) -> None:
        for number in range(15):
            data = random.Random(f"{me} {number}").randbytes(5000)
            store.put(f"t{me}/{number}", data)
            store.put("shared", bytes([me]) * 5000)
            assert store.get(f"t{me}/{number}") == data
            assert len(set(store.get("shared"))) == 1
            assert len(keys(store, f"t{me}/")) == number + 1
            if number % 3 == 0:
                store.put_if_absent(f"once/{number}", data)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert len(keys(store)) == 6 * 15 + 1 + 5


def test_what_is_written_while_its_neighbours_are_removed_is_there(store: Store) -> None:
    def work(me: int) -> None:
        for number in range(20):
            store.put(f"a/b/{me}", bytes([number]))
            assert store.get(f"a/b/{me}") == bytes([number])
            store.delete(f"a/b/{me}")
            assert store.put_if_absent(f"a/c{me % 2}/{me}/{number}", b"")
            store.delete(f"a/c{me % 2}/{me}/{number}")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert keys(store) == []


WRITER = """
import sys
from itertools import count
from metaqnn_trainer.store.opening import open_store
store = open_store(sys.argv[1])
for number in count():
    store.put("replaced", bytes([number % 2]) * 1_000_000)
    store.put_if_absent(f"once/{number:06d}", bytes([7]) * 1_000_000)
    if not number:
        print("writing", flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_all_or_nothing(store: Store) -> None:
    chance = random.Random(11)
    for _ in range(4):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, store.uri], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        time.sleep(chance.uniform(0, 0.05))
        writer.kill()
        writer.communicate()
        found = list(store.list(""))
        assert {entry.size for entry in found} == {1_000_000}
        assert [entry.key for entry in found if not entry.key.startswith("once/")] == ["replaced"]
        assert len(set(store.get("replaced"))) == 1
        assert len(store.get("replaced")) == 1_000_000
        assert set(store.get(found[-2].key)) == {7}
        for entry in found:
            store.delete(entry.key)


def test_conditional_writes_are_honoured(store: Store) -> None:
    assert honours_put_if_absent(store, "runs/")
    assert keys(store) == [], "the probe leaves nothing behind"


examples = count()
a_key = st.sampled_from(["a", "b/c", "b/d", "b-c", "e/f/g"])
operation = st.one_of(
    st.tuples(st.just("put"), a_key, st.binary(max_size=4)),
    st.tuples(st.just("put_if_absent"), a_key, st.binary(max_size=4)),
    st.tuples(st.just("delete"), a_key, st.just(b"")),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=st.lists(operation, max_size=12))
def test_a_store_is_a_dictionary(store: Store, operations: list[tuple[str, str, bytes]]) -> None:
    root = f"example{next(examples)}/"
    model: dict[str, bytes] = {}
    for verb, key, data in operations:
        match verb:
            case "put":
                store.put(root + key, data)
                model[key] = data
            case "put_if_absent":
                assert store.put_if_absent(root + key, data) is (key not in model)
                model.setdefault(key, data)
            case _:
                store.delete(root + key)
                model.pop(key, None)
    assert list(store.list(root)) == [Entry(root + key, len(model[key])) for key in sorted(model)]
    assert all(store.get(root + key) == data for key, data in model.items())
