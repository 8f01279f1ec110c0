"""Renames a run: copies it, and removes it when the copy is whole."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from metaqnn_orch.application import machine
from metaqnn_orch.application.listener import Say
from metaqnn_orch.application.moment import now
from metaqnn_orch.application.run_copy import CopyMade, copied_from, copy, refuse_stale, size_of
from metaqnn_orch.application.run_removal import refuse_busy, remove, taken
from metaqnn_orch.control.partial import read_partial
from metaqnn_orch.errors import BadInput, ObjectMissing
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import ENOUGH_BYTES
from metaqnn_trainer.store.base import Store, exists


def rename(store: Store, run: str, name: str, cluster: Any, say: Say, *, ignore_jobs: bool = False) -> CopyMade:
    """Rename a run on which nobody works, or go on with that. `cluster` and `ignore_jobs` are as refuse_busy says.

    Raises:
        NotFound, RunConflict, BadInput: as copy says.
        RunHeld, BadInput: as refuse_busy says; or somebody took the run over while it was copied.
    """
    keys.check_name("run", name)
    if run == name:
        raise BadInput(f"run {run} has that name already", hint="give it another name")
    begun = read_partial(store, run)
    if begun is not None and not exists(store, keys.run_record(run)) and copied_from(store, name) == begun.source:
        made = size_of(store, name)  # it was copied, and removed in part
    else:
        refuse_busy(store, run, cluster, ignore_jobs=ignore_jobs)
        hold = taken(store, run, say)
        try:
            with hold.kept(now):
                made = copy(store, run, store, name, say, moving=True)
                hold.check()
                refuse_stale(store, run, store, name)
                machine.rename(store.uri, run, name)
            remove(store, run, say, lambda: _take_along(store, run, name))
        finally:
            hold.release()
        return made
    remove(store, run, say, lambda: _take_along(store, run, name))
    return made


def _take_along(store: Store, run: str, name: str) -> None:
    """Copy what came into the run while it was copied, from those who need not hold it: nets that people put into its
    queue, and a verdict. The run has its name no more, so that nothing further comes.
    """
    for entry in [*store.list(keys.queue(run)), *store.list(keys.finals(run))]:
        with suppress(ObjectMissing):  # who put it in took it back
            data = store.get(entry.key, ENOUGH_BYTES)  # nobody reads more of either
            store.put_if_absent(keys.run(name) + entry.key.removeprefix(keys.run(run)), data)
