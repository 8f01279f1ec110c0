"""The protocol of stores. One test suite (tests/store/test_stores.py) says what every store promises."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple, Protocol

from metaqnn_trainer.store.errors import ObjectMissing, StoreError

MAX_KEY: Final = 512
MAX_PART: Final = 255  # characters that file systems accept in one name

# No part begins with a dot: neither "." nor "..", and the names of half-written files stay out of the way.
_PART: Final = re.compile(r"[a-z0-9_-][a-z0-9._-]*")


class Entry(NamedTuple):
    """One object of a listing."""

    key: str
    size: int


class Stat(NamedTuple):
    """What a store knows of an object without reading its bytes."""

    size: int
    sha256: str | None
    """sha256 of the object, in hex, where the store keeps a checksum of its own; else None."""


class Store(Protocol):
    """Bytes by key. Keys are relative to the store's root, made of [a-z0-9._/-], without empty or dotted parts.

    A write is complete or absent, and durable when the call returns. Every method raises StoreError when the store
    does not answer or refuses.
    """

    @property
    def uri(self) -> str:
        """The address with which the store was opened, without secrets; another process opens the same store with
        it.
        """
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write the object, replacing an existing one."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write the object only if there is none of this key; False if there is. Of any number of racing calls exactly
        one wins.
        """
        ...

    def get(self, key: str, first: int | None = None) -> bytes:
        """The object, or its `first` bytes (fewer if it is shorter).

        Raises:
            ObjectMissing: there is no object of this key.
        """
        ...

    def stat(self, key: str) -> Stat:
        """What is known of the object without reading it.

        Raises:
            ObjectMissing: there is no object of this key.
        """
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """Every object whose key begins with `prefix`, in order of the key's bytes."""
        ...

    def names(self, prefix: str) -> tuple[str, ...]:
        """The parts that follow the last slash of `prefix` in the keys that begin with it, each once, in order: of
        "runs/" the names of all runs, of "runs/a" those that begin with a. What stands below them is not read. Some
        servers keep a name for a while whose last object was deleted.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the object; a missing one is no error."""
        ...


def check_key(key: str) -> str:
    """`key` itself, if it can name an object in every store.

    Raises:
        StoreError: it cannot; the text gives the rule.
    """
    if not is_key(key):
        shown = repr(key if len(key) <= 80 else key[:77] + "...")
        raise StoreError(
            f"{shown} is not a valid key: it must have parts of a-z, 0-9, '.', '_' and '-', joined by '/'; no part "
            f"may be empty, begin with a dot or have more than {MAX_PART} characters, and the key may have at most "
            f"{MAX_KEY}"
        )
    return key


def check_prefix(prefix: str) -> str:
    """`prefix` itself, if a key could begin with it. The empty one is the prefix of all keys.

    Raises:
        StoreError: no key can; the text gives the rule.
    """
    if prefix and not prefix.endswith("/"):
        return check_key(prefix)
    check_key(prefix + "x")
    return prefix


def is_key(text: str) -> bool:
    return len(text) <= MAX_KEY and all(is_part(part) for part in text.split("/"))


def is_part(text: str) -> bool:
    """Whether `text` can stand between two slashes of a key."""
    return len(text) <= MAX_PART and _PART.fullmatch(text) is not None


def exists(store: Store, key: str) -> bool:
    """Whether there is an object of this key. It is False also where the store refuses to tell.

    Raises:
        StoreError: the store does not answer, or refuses otherwise.
    """
    try:
        store.stat(key)
    except ObjectMissing:
        return False
    except StoreError as error:
        if not error.denied:
            raise
        return False
    return True


def holds(store: Store, key: str, data: bytes) -> bool:
    """Whether the object consists of exactly these bytes.

    Raises:
        StoreError: the store does not answer, or refuses.
    """
    try:
        return store.get(key, len(data) + 1) == data
    except ObjectMissing:
        return False


def lists_what_is_there(store: Store, prefix: str) -> bool:
    """Whether a new object appears in a listing at once, with its size. Leaves no object under `prefix`.

    Raises:
        StoreError: the store does not answer, or refuses.
    """
    name = f"{prefix}probe-{secrets.token_hex(8)}/"
    written = [Entry(f"{name}{number}", number) for number in range(3)]
    with removed(store, *(entry.key for entry in written)):
        for entry in written:
            store.put(entry.key, bytes(entry.size))
        return list(store.list(name)) == written and store.stat(written[-1].key).size == written[-1].size


def honours_put_if_absent(store: Store, prefix: str) -> bool:
    """Whether the store keeps an existing object when another one is put in its place only if absent. Some stores
    accept the condition and ignore it, and a run there could have two writers. Leaves no object under `prefix`.

    Raises:
        StoreError: the store does not answer, or refuses conditional writes by name.
    """
    key = f"{prefix}probe-{secrets.token_hex(8)}"
    with removed(store, key):
        first = store.put_if_absent(key, b"first")
        second = store.put_if_absent(key, b"second")
        return first and not second and store.get(key) == b"first"


@contextmanager
def removed(store: Store, *keys: str) -> Iterator[None]:
    """A block after which these objects are deleted. An error in the block is raised, and not an error of a deletion
    after it.
    """
    try:
        yield
    except StoreError:
        with suppress(StoreError):
            for key in keys:
                store.delete(key)
        raise
    for key in keys:
        store.delete(key)
