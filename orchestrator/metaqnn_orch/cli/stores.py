"""The stores that commands are given."""

from __future__ import annotations

from metaqnn_orch.application import opening
from metaqnn_orch.cli.output import tell
from metaqnn_trainer.store.base import Store


def open_store(uri: str) -> Store:
    """The store at this address. Standard error says when it leaves a call without an answer.

    Raises:
        AddressError: not one of the accepted forms.
        StoreError: boto3 finds no usable configuration.
    """
    return opening.open_store(uri, tell)
