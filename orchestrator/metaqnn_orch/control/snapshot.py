"""Snapshots: the state of a run after some entry of its journal, so that resuming does not fold everything again.

A run never depends on them. A snapshot that is damaged, of another release, or of another journal is ignored, and the
fold begins earlier. The state that a snapshot gives equals the fold's, to the last bit.

The object is gzipped JSON: numbers are written so that they are read back exactly, and nothing in it can be executed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from contextlib import suppress
from dataclasses import asdict, fields
from io import BytesIO
from operator import attrgetter
from typing import Any, Final

from metaqnn_orch.control.brake import Streak
from metaqnn_orch.control.events import MAX_ENTRY_BYTES, Braked, Finished, Opened, Recalled, Shortlisted
from metaqnn_orch.control.faults import faults_of
from metaqnn_orch.control.losses import Losses
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import ObjectMissing, StoreError
from metaqnn_orch.search.searcher import SEARCHERS
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer import __version__
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.messages import WeightsRef
from metaqnn_trainer.store.base import Store

EVERY: Final = 500  # presentations; the fold takes about a millisecond for each
KEPT: Final = 2  # the newest, and one more should it be damaged
MAX_BYTES: Final = 1 << 26  # bytes of the object
MAX_TEXT: Final = 1 << 28  # bytes unpacked: about a million nets; a few kilobytes of zeros could become as much
_FORM: Final = "7"  # version of the format, within a release
_NAME: Final = re.compile(r"([0-9]{9})\.json\.gz")
_COUNTERS: Final = (
    *("step", "told", "unique", "abandoned", "attempts_lost", "disruptions"),
    *("device_seconds", "worked_seconds", "heard", "lost", "last_lost", "shortlisted_after"),
)
_FIELDS: Final = [field.name for field in fields(Trial) if field.name != "confirmations"]
_TRIAL: Final = attrgetter(*_FIELDS)


class Snapshots:
    """Writes a snapshot whenever enough has been learned since the last one."""

    def __init__(self, store: Store, run: str, state: RunState) -> None:
        self._store = store
        self._run = run
        self._told = state.told

    def consider(self, state: RunState, position: int) -> None:
        """Save a snapshot if one is due. `state` is the state after the journal's entry `position`."""
        if state.told - self._told >= EVERY:
            self._told = state.told
            save(self._store, self._run, state, position)


def save(store: Store, run: str, state: RunState, position: int) -> None:
    """Write a snapshot, and remove the oldest. An error of the store is ignored: the next write to the journal will
    meet it.
    """
    with suppress(StoreError):
        entry = store.get(keys.journal_entry(run, position), MAX_ENTRY_BYTES + 1)
        with faults_of(state.settings.search.method, "keeping a snapshot"):
            data = encode(state, entry)
        store.put(keys.snapshot(run, position), data)
        for old in _positions(store, run)[KEPT:]:
            store.delete(keys.snapshot(run, old))


def load(store: Store, run: str, settings: Settings, *, learning: bool = True) -> tuple[RunState, int] | None:
    """The state of the newest snapshot that can be used and its place in the journal, or None. `learning` is as in
    RunState.

    Raises:
        StoreError: the store did not answer.
    """
    for position in _positions(store, run):
        with suppress(ObjectMissing):
            entry = store.get(keys.journal_entry(run, position), MAX_ENTRY_BYTES + 1)
            state = decode(store.get(keys.snapshot(run, position), MAX_BYTES + 1), entry, settings, learning=learning)
            if state is not None:
                return state, position
    return None


def _positions(store: Store, run: str) -> list[int]:
    """The positions of the existing snapshots, the newest first."""
    names = (entry.key.removeprefix(keys.snapshots(run)) for entry in store.list(keys.snapshots(run)))
    return sorted((int(match[1]) for match in map(_NAME.fullmatch, names) if match), reverse=True)


def encode(state: RunState, entry: bytes) -> bytes:
    """The bytes of a snapshot of `state` after the journal's entry that consists of `entry`."""
    numbers = {name: number for number, name in enumerate(state.trials)}
    content = {
        **_origin(entry, state.settings),
        **{name: getattr(state, name) for name in _COUNTERS},
        "opened": state.opened and state.opened.model_dump(),
        "recalled": state.recalled and state.recalled.model_dump(),
        "finished": state.finished and state.finished.model_dump(),
        "shortlist": state.shortlist and state.shortlist.model_dump(),
        "losses": asdict(state.losses),
        "streak": asdict(state.streak),
        "braked": state.braked and state.braked.model_dump(),
        "trials": [_plain(trial) for trial in state.trials.values()],
        "in_flight": list(state.in_flight),
        "best": state.best and state.best.trial,
        "leader": state.leader and state.leader.trial,
        "presented": [numbers[trial.trial] for trial in state.presented],
        "searcher": state.searcher.snapshot(),
    }
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return gzip.compress(text.encode(), compresslevel=1, mtime=0)


def decode(data: bytes, entry: bytes, settings: Settings, *, learning: bool = True) -> RunState | None:
    """The state, or None where the bytes are no valid snapshot after that entry."""
    try:
        with gzip.open(BytesIO(data)) as file:
            text = file.read(MAX_TEXT + 1)
        if max(len(data) / MAX_BYTES, len(text) / MAX_TEXT) > 1:
            return None
        content = json.loads(text)
        if any(content[name] != value for name, value in _origin(entry, settings).items()):
            return None
        return _restored(content, settings, learning)
    except (OSError, EOFError, zlib.error, ValueError, TypeError, LookupError, RecursionError):
        return None  # among them PluginError: the searcher is not installed here


def _origin(entry: bytes, settings: Settings) -> dict[str, str]:
    """What a snapshot depends on: this release's fold, this searcher, and the journal with this entry."""
    searcher = SEARCHERS.find(settings.search.method)
    release = f"{__version__}/{_FORM}/{searcher.name} {searcher.identity}"
    return {"release": release, "entry": hashlib.sha256(entry).hexdigest()}


def _restored(content: dict[str, Any], settings: Settings, learning: bool) -> RunState:
    state = RunState(settings, learning=learning)
    for name in _COUNTERS:
        setattr(state, name, content[name])
    state.opened = content["opened"] and Opened.model_validate(content["opened"])
    state.recalled = content["recalled"] and Recalled.model_validate_json(json.dumps(content["recalled"]))
    state.finished = content["finished"] and Finished.model_validate(content["finished"])
    state.shortlist = content["shortlist"] and Shortlisted.model_validate(content["shortlist"])
    state.losses = Losses.of(content["losses"])
    state.streak = Streak(**content["streak"])
    state.braked = content["braked"] and Braked.model_validate(content["braked"])
    trials = [_trial(fields) for fields in content["trials"]]
    state.trials = {trial.trial: trial for trial in trials}
    for trial in trials:
        if trial.confirms:
            state.trials[trial.confirms].confirmations.append(trial)
        else:
            state.index(trial)
    state.in_flight = {name: state.trials[name] for name in content["in_flight"]}
    state.best = state.trials[content["best"]] if content["best"] else None
    state.leader = state.trials[content["leader"]] if content["leader"] else None
    state.restore([trials[number] for number in content["presented"]], content["searcher"])
    return state


def _plain(trial: Trial) -> tuple[Any, ...]:
    values = dict(zip(_FIELDS, _TRIAL(trial), strict=True))
    return (*{**values, "initial": trial.initial and trial.initial.model_dump()}.values(),)


def _trial(values: list[Any]) -> Trial:
    trial = Trial(**dict(zip(_FIELDS, values, strict=True)))
    trial.initial = trial.initial and WeightsRef.model_validate(trial.initial)
    return trial
