"""The stores that commands are given."""

from __future__ import annotations

import shlex
from functools import partial

from metaqnn_orch.application import opening
from metaqnn_orch.application.datasets import facts
from metaqnn_orch.application.listener import Tone
from metaqnn_orch.cli.output import tell
from metaqnn_orch.control.absence import refuse_absent
from metaqnn_orch.errors import NotFound
from metaqnn_orch.next_command import name_store
from metaqnn_orch.settings.following import Look, built_in
from metaqnn_trainer.store.base import Store


def open_store(uri: str) -> Store:
    """The store at this address. Standard error says when it leaves a call without an answer.

    Raises:
        AddressError: not one of the accepted forms.
        StoreError: boto3 finds no usable configuration.
    """
    store = opening.open_store(uri, tell)
    name_store(store.uri, f"--store {shlex.quote(uri)}")
    return store


def caution_absent(store: Store) -> None:
    """Say it on standard error where there is no store, for a server: the first run may begin while it serves."""
    try:
        refuse_absent(store)
    except NotFound as none:
        tell(f"{none}; {none.hint}", Tone.CAUTION)


def looking_in(uri: str | None) -> Look:
    """Looks datasets up in the store at this address, or without one, among the built-in ones alone."""
    return facts(partial(open_store, uri)) if uri else built_in
