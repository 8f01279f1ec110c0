"""partial.json: the note that a run is incomplete, because it is being copied here, or removed.

It is written before the first object of a copy, and before the first object is removed. A copy gets its run.json last,
and a removal takes run.json first. So objects with this note and without a run.json are no run: nothing begins there,
the same command completes them, and `runs rm` removes them.
"""

from __future__ import annotations

from typing import Literal

from metaqnn_orch.errors import ObjectMissing, RunConflict
from metaqnn_orch.next_command import next_command
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import Message, read
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.store.base import Store


class Partial(Message):
    """The content of partial.json."""

    what: Literal["copy", "removal"]
    at: str
    source: str = ""
    """Uid of the run that is copied, or removed."""


def read_partial(store: Store, run: str) -> Partial | None:
    """The note about the run; None where there is none, or it cannot be read."""
    try:
        return read(Partial, store.get, keys.partial(run))
    except (ObjectMissing, MessageError):
        return None


def refuse_partial(store: Store, run: str) -> None:
    """Refuse the name of a run that has no run.json, where a part of another run is left.

    Raises:
        RunConflict: it was copied or removed in part.
    """
    found = read_partial(store, run)
    if found is not None:
        raise RunConflict(
            f"run {run!r} was {'copied' if found.what == 'copy' else 'removed'} in part, in {store.uri}",
            hint=f"{next_command(f'runs rm {run}', store.uri, '--delete')} removes what is left",
        )
