"""Whether a run is still there: for those who write into it without holding it.

A removal takes run.json first, and a new name does so, too, when the copy is whole; then it takes along what came late.
So who writes, and then finds run.json, has written in time.
"""

from __future__ import annotations

from metaqnn_orch.control.record import RunRecord, load_record
from metaqnn_orch.errors import NotFound, RunConflict
from metaqnn_orch.next_command import next_command
from metaqnn_trainer.store.base import Store


def is_there(store: Store, record: RunRecord) -> bool:
    """Whether the run has still its name.

    Raises:
        MessageError: run.json is damaged.
    """
    try:
        return load_record(store, record.run).uid == record.uid
    except (NotFound, RunConflict):
        return False


def check_there(store: Store, record: RunRecord, undone: str) -> None:
    """Check that the run has still its name; `undone` says what did not become of it, where it has not.

    Raises:
        RunConflict: it was renamed or removed meanwhile.
    """
    if not is_there(store, record):
        raise RunConflict(
            f"run {record.run} was renamed or removed meanwhile: {undone}",
            hint=f"{next_command('runs list', store.uri)} says what there is now",
        )
