"""The commands that messages tell people to type next, with the options by which they find the same store.

There is one way to render them, so that they can be typed as they stand: whoever named the store by an option, and not
by METAQNN_STORE, would otherwise be asked for it again.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final

PROGRAM: Final = "metaqnn-orch"

_NAMED: Final[ContextVar[Mapping[str, str]]] = ContextVar("_NAMED", default={})  # noqa: B039 - it is never changed


def forget_stores() -> None:
    """Forget how stores were named: another command begins."""
    _NAMED.set({})


def name_store(address: str, words: str) -> None:
    """Say by which options this command was told of the store at `address`. What was said of it first counts."""
    _NAMED.set({_plain(address): words, **_NAMED.get()})


def where(store: str) -> str:
    """The options by which another command finds the store at this address: as this command was told of it, which may
    be by a release, or else by the address.
    """
    return _NAMED.get().get(_plain(store)) or f"--store {shlex.quote(store)}"


def next_command(words: str, store: str, more: str = "") -> str:
    """A command as a person can type it: its name and arguments, the store, and `more` options."""
    return " ".join([PROGRAM, words, where(store), *([more] if more else [])])


def _plain(address: str) -> str:
    return address.rstrip("/")
