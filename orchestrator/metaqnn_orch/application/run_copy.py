"""Copies a run, within a store or to another one.

run.json is written last: until then the copy is no run, and the same command goes on with it. What was copied before is
recognised by its size, and by the name of what it is: the journal and everything that is named by its digest never
change. The journal is copied before the trials, so that the copy of a run that goes on meanwhile has each result that
its journal names.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from metaqnn_orch.application.listener import Say, Tone
from metaqnn_orch.application.moment import now
from metaqnn_orch.control.at_once import each
from metaqnn_orch.control.partial import Partial, read_partial
from metaqnn_orch.control.presence import check_there
from metaqnn_orch.control.record import Copied, RunRecord, load_record
from metaqnn_orch.control.resume import resume
from metaqnn_orch.errors import BadInput, ObjectMissing, RunConflict, StoreError
from metaqnn_orch.next_command import next_command
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import ENOUGH_BYTES, encode, read
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.store.base import Entry, Store

AT_ONCE: Final = 64  # objects that are copied before the next word about it

_UNCHANGING: Final = re.compile(r"journal/.*|trials/.*-[0-9a-f]{16}\.[a-z]+|imported\.csv|dataset\.json")
_NAMES_ITS_RUN: Final = re.compile(r"trials/[0-9a-f]{12}/(request|result)\.json")
_STAYS: Final = ("run.json", "holder.json", "partial.json")


class CopyMade(NamedTuple):
    """What a copy consists of."""

    objects: int
    """Number of objects."""
    bytes: int
    """Size of all of them together."""
    there: int
    """Number of objects that an earlier attempt had copied."""


def copy(source: Store, run: str, target: Store, name: str, say: Say, *, moving: bool = False) -> CopyMade:
    """Copy the run, and the dataset that it needs, where `target` is another store; or go on with a copy that was cut
    short. `moving` says that the run itself will be removed.

    Raises:
        NotFound: there is no such run.
        RunConflict: another run has the name.
        BadInput: the run cannot be copied so.
    """
    record = load_record(source, run)
    keys.check_name("run", name)
    same_store = source.uri == target.uri
    if same_store and run == name:
        raise BadInput(f"run {run} cannot be copied to itself", hint="give the copy another name, or --to-store")
    raw = json.loads(source.get(keys.run_record(run), ENOUGH_BYTES))
    if copied_from(target, name) == record.uid:
        refuse_stale(source, run, target, name)
        target.delete(keys.partial(name))
        return size_of(target, name)
    if moving or not same_store:
        _refuse_what_moves(source, record)
    _refuse_others(target, name, record)
    target.put(keys.partial(name), encode(Partial(what="copy", at=now(), source=record.uid)))
    if not same_store:
        _copy_dataset(source, target, record, say)
    work = _Work(source, run, target, name, say)
    work.carry(list(source.list(keys.journal(run))))
    work.carry(entry for entry in source.list(keys.run(run)) if not entry.key.startswith(keys.journal(run)))
    work.check()
    # What a running search removes, it does not need; what a removal removes, the copy does.
    check_there(source, record, f"what was copied of it to {name} is no run")
    copied = Copied(store=source.uri, run=run, uid=record.uid, at=now())
    changes = {"run": name, "uid": secrets.token_hex(16), "copied": copied.model_dump()}
    data = (json.dumps(raw | changes, indent=2) + "\n").encode()
    if not target.put_if_absent(keys.run_record(name), data):
        raise RunConflict(f"a run {name!r} began in {target.uri} meanwhile", hint="give the copy another name")
    target.delete(keys.partial(name))
    return CopyMade(len(work.sizes) + 1, sum(work.sizes.values()) + len(data), work.there)


def copied_from(store: Store, name: str) -> str | None:
    """The uid of the run that the run of this name is a whole copy of; None where it is none."""
    try:
        found = read(RunRecord, store.get, keys.run_record(name))
    except ObjectMissing:
        return None
    return found.copied.uid if found.copied is not None else None


def refuse_stale(source: Store, run: str, target: Store, name: str) -> None:
    """Refuse a copy without what the run has done since.

    Raises:
        RunConflict: the run's last entry is not in the copy's journal.
    """
    last = max((entry.key for entry in source.list(keys.journal(run))), default=None)
    if last is None:
        return
    with suppress(ObjectMissing):
        if target.get(keys.journal(name) + last.removeprefix(keys.journal(run))) == source.get(last):
            return
    raise RunConflict(
        f"run {name} in {target.uri} is a copy of run {run} from before {run} went on",
        hint=f"give the copy another name; or first: {next_command(f'runs rm {name}', target.uri, '--delete')}",
    )


def size_of(store: Store, name: str) -> CopyMade:
    """The size of a copy that was made before."""
    entries = list(store.list(keys.run(name)))
    return CopyMade(len(entries), sum(entry.size for entry in entries), len(entries))


def _refuse_others(target: Store, name: str, record: RunRecord) -> None:
    """
    Raises:
        RunConflict: a run of this name is there, or what is left of one.
    """
    entries = {entry.key for entry in target.list(keys.run(name))}
    if keys.run_record(name) in entries:
        raise RunConflict(f"a run {name!r} exists in {target.uri}", hint="give the copy another name")
    begun = read_partial(target, name)
    if entries and (begun is None or begun.source != record.uid):
        raise RunConflict(
            f"{target.uri} has {amount(len(entries), 'object')} of a run {name!r}, which is none",
            hint=f"{next_command(f'runs rm {name}', target.uri, '--delete')} removes them",
        )


def _refuse_what_moves(source: Store, record: RunRecord) -> None:
    """Refuse a run whose trials in flight begin with weights that the copy would not find.

    Raises:
        BadInput: there are such trials.
    """
    state, _ = resume(source, record, record.settings_to_read(), learning=False)
    for trial in state.in_flight.values():
        initial = trial.initial
        if initial is not None:
            raise BadInput(
                f"trial {trial.trial} is in flight, and begins with weights of run {initial.run} in {source.uri}",
                hint="go on with the run until the trial has ended, or copy it within its store and keep both",
            )


def _copy_dataset(source: Store, target: Store, record: RunRecord, say: Say) -> None:
    """Copy the run's dataset, where it has one and the other store has none."""
    if record.table is not None or record.is_open:
        return
    key = keys.dataset(record.dataset.name, record.dataset.digest)
    size = next((entry.size for entry in source.list(key) if entry.key == key), None)
    if size is None:
        say(f"{source.uri} has no dataset {record.dataset.name}-{record.dataset.digest} any more", Tone.CAUTION)
    elif all(entry != Entry(key, size) for entry in target.list(key)):
        target.put_if_absent(key, _whole(source, Entry(key, size)))


def _whole(store: Store, entry: Entry) -> bytes:
    """
    Raises:
        StoreError: the object is not as long as its listing said.
    """
    data = store.get(entry.key, entry.size + 1)
    if len(data) != entry.size:
        raise StoreError(f"{store.uri}: {entry.key} changed while it was read", hint="the same command goes on")
    return data


class _Work:
    """The copying of one run."""

    def __init__(self, source: Store, run: str, target: Store, name: str, say: Say) -> None:
        self._source = source
        self._run = run
        self._target = target
        self._name = name
        self._say = say
        self._before = dict(target.list(keys.run(name)))
        self.sizes: dict[str, int] = {}
        """The copied objects and their sizes in bytes."""
        self.there = 0

    def carry(self, entries: Iterable[Entry]) -> None:
        """Copy these objects, unless they were copied before."""
        todo = []
        for entry in entries:
            rest = entry.key.removeprefix(keys.run(self._run))
            key = keys.run(self._name) + rest
            if rest in _STAYS:
                continue
            if _UNCHANGING.fullmatch(rest) and self._before.get(key) == entry.size:
                self.sizes[key] = entry.size
                self.there += 1
            else:
                todo.append(entry)
        for first in range(0, len(todo), AT_ONCE):
            part = todo[first : first + AT_ONCE]
            for key, size in each(self._carry, part):
                if size is not None:
                    self.sizes[key] = size
            if first + AT_ONCE < len(todo):
                self._say(f"{first + AT_ONCE:,} of {len(todo):,} objects copied", Tone.ASIDE)

    def _carry(self, entry: Entry) -> tuple[str, int | None]:
        """Copy an object. Returns its new key and size, None where it disappeared meanwhile: what a running search
        removes, it does not need.
        """
        rest = entry.key.removeprefix(keys.run(self._run))
        key = keys.run(self._name) + rest
        try:
            if not _UNCHANGING.fullmatch(rest):
                entry = Entry(entry.key, self._source.stat(entry.key).size)
            data = _whole(self._source, entry)
        except ObjectMissing:
            return key, None
        if self._name != self._run and _NAMES_ITS_RUN.fullmatch(rest):
            data = _renamed(data, self._run, self._name)
        self._target.put(key, data)
        return key, len(data)

    def check(self) -> None:
        """
        Raises:
            StoreError: somebody removed or replaced a copied object.
        """
        there = dict(self._target.list(keys.run(self._name)))
        missing = [key for key, size in self.sizes.items() if there.get(key) != size]
        if missing:
            raise StoreError(
                f"{self._target.uri}: {missing[0]} is not as it was copied",
                hint="the same command goes on with the copy",
            )


def _renamed(data: bytes, run: str, name: str) -> bytes:
    """A request or a result with the name of the copy; what is none stays as it is."""
    try:
        message: Any = json.loads(data)
    except ValueError:
        return data
    if not isinstance(message, dict) or message.get("run") != run:
        return data
    wanted = {**message, "run": name}
    # Numbers stay as they are written: a digest of the result may be in the journal.
    found = re.sub(rb'("run"\s*:\s*)"[^"]*"', lambda match: match[1] + f'"{name}"'.encode(), data, count=1)
    return found if json.loads(found) == wanted else (json.dumps(wanted, indent=2) + "\n").encode()
