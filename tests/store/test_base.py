"""Which keys name an object, and how a store that ignores conditions is found out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metaqnn_orch.errors import StoreError
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.base import (
    MAX_KEY,
    MAX_PART,
    Entry,
    Stat,
    Store,
    check_key,
    check_prefix,
    honours_put_if_absent,
    is_key,
)

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_-."

part = st.text(LETTERS, min_size=1, max_size=12).filter(lambda text: not text.startswith("."))
good_key = st.lists(part, min_size=1, max_size=6).map("/".join)
nearly_a_key = st.text(LETTERS + "/A~\\ \n\0é%", max_size=20)


@given(good_key)
def test_a_key_is_given_back(key: str) -> None:
    assert check_key(key) == key


@given(nearly_a_key | st.text())
@example("a\n")
@example("..")
@example("a/../b")
@example("a" * (MAX_PART + 1))
@example("/".join(["a" * 100] * 6))
def test_a_key_is_a_plain_path_below_any_root_and_everything_else_is_refused(text: str) -> None:
    parts = text.split("/")
    plain = all(0 < len(part) <= MAX_PART and set(part) <= set(LETTERS) and part[0] != "." for part in parts)
    if plain and len(text) <= MAX_KEY:
        assert check_key(text) == text
        assert PurePosixPath("/root", text).as_posix() == f"/root/{text}"
        assert PurePosixPath(text).parts == tuple(parts)
    else:
        assert not is_key(text)
        with pytest.raises(StoreError, match="is not a valid key") as caught:
            check_key(text)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 400


@given(good_key, st.data())
def test_every_beginning_of_a_key_is_a_prefix(key: str, data: st.DataObject) -> None:
    prefix = key[: data.draw(st.integers(0, len(key)))]
    assert check_prefix(prefix) == prefix


@pytest.mark.parametrize("prefix", ["/", "a//", "../", "a/../", ".", "a/.", "A", "/a", "a/b/.tmp"])
def test_what_no_key_begins_with_is_no_prefix(prefix: str) -> None:
    with pytest.raises(StoreError):
        check_prefix(prefix)


def test_every_key_of_the_contract_is_a_key() -> None:
    run, trial = "a" * 40, "0" * 12
    for key in (
        keys.dataset("fashion-mnist", "0" * 16),
        keys.run_record(run),
        keys.holder(run),
        keys.journal_entry(run, 10**9 - 1),
        keys.request(run, trial),
        keys.result(run, trial),
        keys.history(run, trial, "ab" * 32),
        keys.weights(run, trial, "ab" * 32),
        keys.quarantine(run, trial, 3),
    ):
        assert check_key(key) == key
    for prefix in (keys.datasets(), keys.datasets("mn"), keys.run(run), keys.journal(run), keys.trial(run, trial)):
        assert check_prefix(prefix) == prefix


class Forgetful:
    """A store in memory that takes conditional writes and ignores the condition, as some do; `refuses` at will."""

    uri = "memory"

    def __init__(self, honest: bool = False, fails_at: int = -1) -> None:
        self.objects: dict[str, bytes] = {}
        self.honest = honest
        self.fails_at = fails_at
        self.calls = 0

    def put(self, key: str, data: bytes) -> None:
        self.objects[key] = data

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self.calls += 1
        if self.calls == self.fails_at:
            raise StoreError("no conditional writes here")
        there = key in self.objects
        if not (there and self.honest):
            self.put(key, data)
        return not (there and self.honest)

    def get(self, key: str, first: int | None = None) -> bytes:
        return self.objects[key][:first]

    def stat(self, key: str) -> Stat:
        return Stat(len(self.objects[key]), None)

    def list(self, prefix: str) -> Iterator[Entry]:
        yield from (Entry(key, len(data)) for key, data in sorted(self.objects.items()) if key.startswith(prefix))

    def names(self, prefix: str) -> tuple[str, ...]:
        raise NotImplementedError

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)


@pytest.mark.parametrize("honest", [True, False])
def test_a_store_that_ignores_the_condition_is_found_out(honest: bool) -> None:
    store: Store = Forgetful(honest)
    store.put("runs/other", b"")
    assert honours_put_if_absent(store, "runs/") is honest
    assert [entry.key for entry in store.list("")] == ["runs/other"]


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_store_that_refuses_the_condition_says_so_itself(fails_at: int) -> None:
    store = Forgetful(honest=True, fails_at=fails_at)
    with pytest.raises(StoreError, match="no conditional writes here"):
        honours_put_if_absent(store, "")
    assert not store.objects
