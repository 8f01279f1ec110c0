"""One trial with all that is known of it: net, recipe, result, curve, attempts and files."""

from __future__ import annotations

from typing import Any, TypedDict

from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import ObjectMissing, PluginsMissing
from metaqnn_orch.reporting.answers import ShownState
from metaqnn_orch.reporting.curves import curve_of, read_epochs
from metaqnn_orch.reporting.history import read_history
from metaqnn_orch.reporting.summary import RunView, trial_rows
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import read
from metaqnn_trainer.contract.errors import MessageError, ShapeError
from metaqnn_trainer.contract.result import TrainingResult
from metaqnn_trainer.store.base import Store


class PartRow(TypedDict):
    """A part of the design: of a net, a layer."""

    layer: str
    """Text of the layer."""
    output: str
    """Output of the layer, in words."""
    params: int
    """Number of trainable parameters."""
    macs: int
    """Number of multiply-accumulates for one example."""


class LostAttempt(TypedDict):
    """An attempt that ended without a result."""

    attempt: int
    """Number of the attempt."""
    end: str
    """How it ended."""
    at: str | None
    """When it ended, in ISO 8601."""
    detail: str
    """Why it ended."""


class TrialFile(TypedDict):
    """An object of the trial."""

    key: str
    """Key of the object in the store."""
    bytes: int
    """Size of the object."""


class TrialView(TypedDict):
    """One trial. It also has the other fields of `trials`, such as reward, params and measures."""

    run: str
    """Name of the run."""
    trial: str
    """Id of the trial."""
    net: str
    """The net."""
    state: ShownState
    """State of the trial; waiting means that it is in flight, and nobody works on the run."""
    reward: float | None
    """Reward that the searcher was told; None before the result."""
    reason: str
    """Why it ended as it did, in the trainer's words."""
    device: str
    """The device that it was trained on."""
    macs: int | None
    """Number of multiply-accumulates for one example."""
    images_per_second: float | None
    """Examples that it trained on each second."""
    started: str | None
    """The moment at which the attempt that gave the result began, as ISO 8601; None where it is not known."""
    ended: str | None
    """The moment at which the searcher was told, as ISO 8601; None before the result."""
    best_epoch: int | None
    """The epoch whose reward counts."""
    layers: list[PartRow]
    """The parts of the net; none where they do not fit each other."""
    curve: list[float]
    """Rewards of the epochs that count: those of the last learning rate."""
    epochs: list[dict[str, Any]]
    """Every epoch with all that was measured, as in history.jsonl (docs/trainer.md)."""
    lost_attempts: list[LostAttempt]
    """Attempts that ended without a result."""
    confirmed_by: list[str]
    """Ids of the trials that repeat it with other seeds."""
    files: list[TrialFile]
    """Its objects in the store."""


def trial_view(store: Store, view: RunView, trial: Trial, *, works: bool) -> dict[str, Any]:
    """The fields of `metaqnn-orch trial -o json`: those of `trials -o json`, and more. `works` says whether somebody
    works on the run.
    """
    run, history = view.record.run, read_history(store, view)
    result, epochs = _result(store, run, trial), read_epochs(store, run, trial.trial)
    return {
        **trial_rows(view.state, [trial], works=works)[0],
        "run": run,
        "reason": result.reason if result is not None else "",
        "device": trial.device,
        "macs": trial.macs,
        "images_per_second": trial.images_per_second or None,
        "best_epoch": result.best_epoch if result is not None else None,
        "layers": _layers(view, trial),
        "curve": curve_of(trial, epochs),
        "epochs": [record.model_dump(mode="json") for record in epochs],
        "lost_attempts": [
            {
                "attempt": trouble.attempt,
                "end": trouble.kind,
                "at": trouble.at and trouble.at.isoformat(timespec="milliseconds"),
                "detail": trouble.detail,
            }
            for trouble in history.troubles
            if trouble.trial == trial.trial
        ],
        "confirmed_by": [one.trial for one in trial.confirmations],
        "files": [{"key": key, "bytes": size} for key, size in store.list(keys.trial(run, trial.trial))],
    }


def _result(store: Store, run: str, trial: Trial) -> TrainingResult | None:
    """The trial's result; None where there is none, as for an imported trial, or it cannot be read."""
    try:
        return read(TrainingResult, store.get, keys.result(run, trial.trial))
    except (ObjectMissing, MessageError):
        return None


def _layers(view: RunView, trial: Trial) -> list[dict[str, Any]]:
    """The parts of the design with their costs; none where they do not fit each other."""
    try:
        parts = view.state.space.describe(trial.net)
    except (PluginsMissing, ShapeError):
        return []
    return [
        {"layer": part.name, "output": part.output, "params": part.cost.params, "macs": part.cost.macs}
        for part in parts
    ]
