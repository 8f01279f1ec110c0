"""The runs of a store in a few numbers each, and what a run consists of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, NotRequired, TypedDict

from metaqnn_orch.control.at_once import each
from metaqnn_orch.control.holder import living, read_holder
from metaqnn_orch.control.partial import read_partial
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.errors import KNOWN, one_line
from metaqnn_orch.reporting.summary import RunView, has_accuracy, needs, read_only, run_state
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.presets import presets
from metaqnn_orch.settings.sources import load_settings
from metaqnn_orch.settings.values import flatten
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.base import Entry, Store

IN_PART: Final = {"copy": "copied in part", "removal": "removed in part"}
REMAINS: Final = "remains"
DAMAGED: Final = "damaged"

_KINDS: Final = (
    ("weights", re.compile(r"trials/[0-9a-f]{12}/weights")),
    ("checkpoints", re.compile(r"trials/[0-9a-f]{12}/checkpoint")),
    ("histories", re.compile(r"trials/[0-9a-f]{12}/history")),
    ("pictures", re.compile(r"trials/[0-9a-f]{12}/picture")),
    ("messages", re.compile(r"trials/")),
    ("journal", re.compile(r"journal/")),
    ("snapshots", re.compile(r"snapshots/")),
    ("quarantine", re.compile(r"quarantine/")),
)


class Size(NamedTuple):
    """What a run, or a part of it, holds of its store."""

    objects: int = 0
    """Number of objects."""
    bytes: int = 0
    """Size of all of them together."""

    def and_one(self, size: int) -> Size:
        return Size(self.objects + 1, self.bytes + size)


class BestOfRun(TypedDict):
    """The best net of a run."""

    reward: float
    """Reward by which it is ranked: a mean where it was confirmed."""
    val_accuracy: NotRequired[float | None]
    """Validation accuracy, from 0 to 1; only in runs in which accuracy is a measure."""
    trial: str
    """Id of the trial."""
    net: str
    """The net."""


class ListedRun(NamedTuple):
    """One run of a list."""

    run: str
    """Name of the run."""
    state: str
    """State of the run, as in `status`; or copied in part, removed in part, damaged, or remains: objects without a run.
    """
    dataset: str | None
    """Name of the dataset."""
    method: str | None
    """Method of the search; None where the settings list the nets."""
    nets: int
    """Number of different nets that were trained."""
    goal: int | None
    """Number of different nets after which the run is complete."""
    best: BestOfRun | None
    """The best net; None where there is none."""
    objects: int
    """Number of its objects in the store."""
    bytes: int
    """Size of all of them together."""
    created_at: str | None
    """When it began, in ISO 8601."""
    changed_at: str | None
    """The time of the journal's last event."""
    trouble: str
    """What is wrong with it, or what its search waits for; empty where nothing is."""


def list_runs(store: Store) -> list[ListedRun]:
    """Every run of the store, by its name, and everything that is left of one."""
    sizes: dict[str, Size] = {}
    whole = set()
    for entry in store.list(keys.runs()):
        _, run, *rest = entry.key.split("/")
        if rest:
            sizes[run] = sizes.get(run, Size()).and_one(entry.size)
            whole |= {run} if rest == ["run.json"] else set()
    return each(lambda run: _row(store, run, sizes[run]) if run in whole else _part(store, run, sizes[run]), [*sizes])


def _row(store: Store, run: str, size: Size) -> ListedRun:
    try:
        view = read_only(store, run)
    except KNOWN as error:
        return ListedRun(run, DAMAGED, None, None, 0, None, None, *size, None, None, one_line(str(error)))
    state, alive = view.state, living(read_holder(store, run))
    return ListedRun(
        run=run,
        state=run_state(state, alive),
        dataset=view.record.dataset.name,
        method=None if state.settings.nets else state.settings.search.method,
        nets=state.unique,
        goal=state.opened.goal if state.opened is not None else state.settings.goal,
        best=best_of(view),
        objects=size.objects,
        bytes=size.bytes,
        created_at=view.record.created_at,
        changed_at=state.heard or view.record.created_at,
        trouble=alive.trouble if alive is not None else needs(view),
    )


def _part(store: Store, run: str, size: Size) -> ListedRun:
    found = read_partial(store, run)
    state = IN_PART[found.what] if found is not None else REMAINS
    return ListedRun(run, state, None, None, 0, None, None, *size, None, found.at if found else None, "")


def best_of(view: RunView) -> BestOfRun | None:
    """Reward, trial and net of the best; None where there is none."""
    best = view.state.best
    if best is None:
        return None
    found: BestOfRun = {"reward": best.worth, "trial": best.trial, "net": best.net}
    if has_accuracy(view.state):
        found["val_accuracy"] = best.val_accuracy
    return found


def kinds_of(entries: Iterable[Entry], run: str) -> dict[str, Size]:
    """What the objects of a run are, with their numbers and bytes."""
    found = dict.fromkeys((*(name for name, _ in _KINDS), "other"), Size())
    for key, size in entries:
        rest = key.removeprefix(keys.run(run))
        kind = next((name for name, pattern in _KINDS if pattern.match(rest)), "other")
        found[kind] = found[kind].and_one(size)
    return {kind: size for kind, size in found.items() if size.objects}


class Difference(NamedTuple):
    """A setting whose value is not the preset's."""

    key: str
    value: Any
    preset: Any


def nearest_preset(record: RunRecord) -> tuple[str, list[Difference]]:
    """The preset from which the run's own settings differ the least, of those for its data where there are any, and in
    what they differ from it.
    """
    begun = _comparable(record.settings_to_read())
    found = []
    for name in presets():
        preset = _comparable(load_settings(name, {}, [], {}).settings)
        differing = [
            Difference(key, begun.get(key), preset.get(key))
            for key in dict.fromkeys([*preset, *begun])
            if begun.get(key, ...) != preset.get(key, ...)
        ]
        other_data = any(one.key == "dataset.name" for one in differing)
        found.append((other_data, len(differing), name, differing))
    _, _, name, differing = min(found)
    return name, differing


def _comparable(settings: Settings) -> dict[str, Any]:
    values = dict(flatten(settings.identity()))
    del values["dataset.digest"]  # a preset names no data
    return values
