"""Removes a run for good.

The note partial.json comes first, then run.json goes: from then on it is no run, nothing begins there, and the same
removal, repeated, takes what is left. The note itself goes last.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from metaqnn_orch.application import machine
from metaqnn_orch.application.jobs import live_jobs
from metaqnn_orch.application.listener import Say, Tone
from metaqnn_orch.application.moment import now
from metaqnn_orch.control.at_once import each
from metaqnn_orch.control.holder import Hold, is_dead, read_holder, this_process
from metaqnn_orch.control.partial import Partial
from metaqnn_orch.control.record import load_record
from metaqnn_orch.control.resume import resume
from metaqnn_orch.errors import BadInput, JournalError, NotFound, RunConflict, RunHeld
from metaqnn_orch.next_command import next_command
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.store.base import Entry, Store

AT_ONCE: Final = 256  # objects that are removed before the next word about it


class Doomed(NamedTuple):
    """What there is of a run, or of what is left of one."""

    entries: list[Entry]
    is_run: bool
    """Whether it is a run; False where only a part of one is left."""
    here: list[int]
    """Sizes, in bytes, of the files that this machine keeps of it."""

    @property
    def bytes(self) -> int:
        return sum(entry.size for entry in self.entries)


def doomed(store: Store, run: str) -> Doomed:
    """What removing the run removes.

    Raises:
        NotFound: nothing of this name is there.
    """
    keys.check_name("run", run)
    entries = list(store.list(keys.run(run)))
    is_run = any(entry.key == keys.run_record(run) for entry in entries)
    if not entries:
        load_record(store, run)
    return Doomed(entries, is_run, machine.kept_of(store.uri, run))


def refuse_busy(store: Store, run: str, cluster: Any, *, ignore_jobs: bool = False) -> None:
    """Refuse to move or remove a run on which somebody works. `cluster` is where its Jobs are looked for, or None.

    Raises:
        RunHeld: an orchestrator holds the run, on this machine, or one that lives.
        BadInput: Jobs of it are under way, or may be.
    """
    try:
        record = load_record(store, run)
    except MessageError:
        record = None  # a damaged run may be removed, and nobody can work on it
    holder = read_holder(store, run)
    if holder is not None and is_dead(holder) is False:
        raise RunHeld(
            f"run {run} is held by {holder.owner}, last heard of at {holder.at}",
            hint=f"nothing was changed; stop it first: {next_command(f'cancel {run}', store.uri)}",
        )
    if ignore_jobs or record is None:
        return
    ending = f"{next_command(f'cancel {run}', store.uri, '--launcher kubernetes')} ends them"
    if cluster is not None:
        if jobs := live_jobs(cluster, record, store.uri):
            raise BadInput(
                f"run {run} has {amount(len(jobs), 'Job')} in namespace {cluster.namespace}, as {jobs[0]}", hint=ending
            )
        return
    try:
        state, _ = resume(store, record, record.settings_to_read(), learning=False)
    except JournalError:
        return  # it is damaged, too
    if state.opened is not None and state.opened.launcher == "kubernetes" and state.in_flight:
        raise BadInput(
            f"run {run} was stopped with {amount(len(state.in_flight), 'trial')} in flight, whose Jobs may go on in a "
            "cluster",
            hint=f"--launcher kubernetes looks for them, --ignore-jobs does not; {ending}",
        )


def taken(store: Store, run: str, say: Say, sleep: Callable[[float], None] = time.sleep) -> Hold:
    """Take the run, so that nobody begins to work on it. Waits for one lease where its holder may live elsewhere.

    Raises:
        RunHeld: somebody holds it.
    """
    hold = Hold(store, run, this_process(secrets.token_hex(8), now()), time.monotonic)
    hold.claim(sleep, say)
    return hold


def remove(store: Store, run: str, say: Say, gone: Callable[[], None] = lambda: None) -> None:
    """Remove every object of a run that nobody works on, or what is left of one, and what this machine keeps of it.
    `gone` is called when it is no run any more, and its other objects are still there.

    Raises:
        StoreError: the store does not remove them; the call may be repeated.
    """
    note, record, holder = keys.partial(run), keys.run_record(run), keys.holder(run)
    with suppress(NotFound, RunConflict):  # what is left of a run has its note already
        store.put(note, encode(Partial(what="removal", at=now(), source=_uid(store, run))))
    store.delete(record)
    gone()
    others = [entry.key for entry in store.list(keys.run(run)) if entry.key not in (note, holder)]
    for first in range(0, len(others), AT_ONCE):
        each(store.delete, others[first : first + AT_ONCE])
        done = min(first + AT_ONCE, len(others))
        if done < len(others):
            say(f"{done:,} of {len(others):,} objects removed", Tone.ASIDE)
    store.delete(holder)
    machine.forget(store.uri, run)
    store.delete(note)


def _uid(store: Store, run: str) -> str:
    """The uid of the run; empty where its record is damaged. Raises as `load_record` does otherwise."""
    try:
        return load_record(store, run).uid
    except MessageError:
        return ""
