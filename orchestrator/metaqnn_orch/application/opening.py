"""Opens the stores of commands: the one place in which this package opens any."""

from __future__ import annotations

from metaqnn_orch.application.listener import Say, Tone
from metaqnn_orch.application.silence import PATIENCE, Silence, WatchedStore
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.opening import open_store as open_plain


def open_store(uri: str, say: Say, patience: float = PATIENCE) -> Store:
    """The store that `uri` names. Nothing is created, and the store is not called yet. `say` is told when it leaves a
    call without an answer for `patience` seconds, and when it answers again.

    Raises:
        AddressError: not one of the accepted forms.
        StoreError: boto3 finds no usable configuration.
    """
    store = open_plain(uri)

    def told(text: str) -> None:
        say(f"waiting: {text}" if text else "the store answers again", Tone.CAUTION if text else Tone.PLAIN)

    return WatchedStore(store, Silence(store.uri, told, patience))


def plain(store: Store) -> Store:
    """The store itself, which may know more than the protocol says, without the wrapper that watches it."""
    return store.inner if isinstance(store, WatchedStore) else store
