"""Shows what a run is: its data, versions, size, and the settings that differ from the preset."""

from __future__ import annotations

from typing import Any, TypedDict

from metaqnn_orch.application.run_list import BestOfRun, Size, best_of, nearest_preset
from metaqnn_orch.control.holder import living, read_holder
from metaqnn_orch.control.record import Copied
from metaqnn_orch.reporting.answers import RunStanding
from metaqnn_orch.reporting.summary import RunView, run_state
from metaqnn_trainer.store.base import Store


class LastSession(TypedDict):
    """How the last session of a run worked."""

    at: str
    """When it began, in ISO 8601."""
    version: str
    """Its version of the program."""
    launcher: str
    """Where trials ran."""
    parallel: int
    """Number of trials at a time."""
    settings: dict[str, Any]
    """Its settings of execution, budget and tracking, as far as they are recorded."""


class Differing(TypedDict):
    """A setting that differs from the preset's."""

    run: Any
    """Value in the run."""
    preset: Any
    """Value in the preset."""


class ShownRun(TypedDict):
    """What a run is."""

    run: str
    """Name of the run."""
    state: RunStanding
    """State of the run, as in `status`."""
    created_at: str
    """When it began, in ISO 8601."""
    version: str
    """Version of the program when it began."""
    uid: str
    """Its own number, in hexadecimal digits, which no other run has."""
    dataset: str
    """Name and digest of the dataset."""
    table: str | None
    """The table that its accuracies come from; None where nets are trained."""
    imported: str | None
    """The file that it began with; None where it was not imported."""
    copied: Copied | None
    """The run that it was copied from; None where it is no copy."""
    plugins: dict[str, str]
    """The plug-ins that it needs, with their versions."""
    nets: int
    """Number of different nets that were trained."""
    goal: int
    """Number of different nets after which it is complete."""
    best: BestOfRun | None
    """The best net; None where there is none."""
    changed_at: str
    """The time of the journal's last event, in ISO 8601."""
    session: LastSession | None
    """The last session; None before the first."""
    preset: str
    """The preset that its settings resemble most."""
    settings: dict[str, Differing]
    """The settings that differ from it, by their dotted keys."""
    size: dict[str, Size]
    """What it holds of its store, by kinds of objects."""


def shown(store: Store, view: RunView, kinds: dict[str, Size]) -> ShownRun:
    """The fields of `metaqnn-orch runs show -o json`."""
    record, state = view.record, view.state
    preset, differing = nearest_preset(record)
    opened = state.opened
    session: LastSession | None = None
    if opened is not None:
        session = {
            "at": opened.at,
            "version": opened.version,
            "launcher": opened.launcher,
            "parallel": opened.places,
            "settings": dict(opened.settings or {}),
        }
    return {
        "run": record.run,
        "state": run_state(state, living(read_holder(store, record.run))),
        "created_at": record.created_at,
        "version": record.version,
        "uid": record.uid,
        "dataset": f"{record.dataset.name}-{record.dataset.digest}",
        "table": record.table,
        "imported": record.imported.file if record.imported is not None else None,
        "copied": record.copied,
        "plugins": record.plugins,
        "nets": state.unique,
        "goal": opened.goal if opened is not None else state.settings.goal,
        "best": best_of(view),
        "changed_at": state.heard or record.created_at,
        "session": session,
        "preset": preset,
        "settings": {one.key: {"run": one.value, "preset": one.preset} for one in differing},
        "size": kinds,
    }
