"""metaqnn-orch pull RUN"""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Annotated

import typer

from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import csv_text, say
from metaqnn_orch.control.ingest import Trusted, read_result
from metaqnn_orch.control.state import Trial
from metaqnn_orch.errors import BadInput, StoreError
from metaqnn_orch.reporting.summary import RunView, leaderboard, read_run, trial_row
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import MAX_MESSAGE_BYTES
from metaqnn_trainer.contract.messages import TrainingRequest, TrainingResult
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.opening import open_store

FIELDS = ("rank", "trial", "net", "val_accuracy", "params", "seconds", "epsilon", "state", "attempts", "estimated")
PARTS = (keys.request, keys.result, keys.history, keys.weights)


def pull(
    run: options.Run,
    store: options.Store,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder to write into.", show_default=False)],
    top: Annotated[int, typer.Option(metavar="K", min=1, help="How many of the best trials.")] = 10,
) -> None:
    """Copy the best trials out of the store.

    Writes leaderboard.csv and, per trial, a folder with request.json, result.json, history.jsonl and
    weights.safetensors. Weights and history are checked against the digests in result.json; exit code 5 says that
    something is missing or not what was trained.
    """
    opened = open_store(store)
    view = read_run(opened, run)
    best = leaderboard(view.state, top)
    if not best:
        raise BadInput(
            f"run {run} has no trained net yet", hint=f"metaqnn-orch status {run} --store {shlex.quote(store)}"
        )
    rows = [{"rank": rank, **trial_row(trial)} for rank, trial in enumerate(best, 1)]
    results = [_trusted(opened, view, trial) for trial in best]  # all of them, before anything is written
    try:
        to.mkdir(parents=True, exist_ok=True)
        for result in results:
            _copy(opened, result, to / result.trial)
        (to / "leaderboard.csv").write_text(csv_text(FIELDS, rows), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot write to {to}: {error.strerror}") from None
    say(f"{len(best)} of {view.state.unique} trained nets in {to}, all digests right")
    say(f"the best, {best[0].val_accuracy:.4f}: {to / best[0].trial}, {best[0].net}")


def _trusted(store: Store, view: RunView, trial: Trial) -> TrainingResult:
    """The trial's result, if it and its siblings are still what the agent was told of."""
    spec = view.record.spec(view.state.settings, trial.net)
    found = read_result(store, TrainingRequest(run=view.record.run, trial=trial.trial, spec=spec))
    if isinstance(found, Trusted):
        if found.result.val_accuracy == trial.val_accuracy:
            return found.result
        reason = f"its result.json says {found.result.val_accuracy}, the journal {trial.val_accuracy}"
    else:
        reason = found.reason if found is not None else "its result.json is gone"
    raise StoreError(
        f"trial {trial.trial} cannot be trusted any more: {reason}",
        hint="nothing was written; a smaller --top may leave it out",
    )


def _copy(store: Store, result: TrainingResult, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    artifacts = {keys.weights: result.weights, keys.history: result.history}
    for part in PARTS:
        artifact = artifacts.get(part)
        if part in artifacts and artifact is None:
            continue
        key = part(result.run, result.trial)
        most = artifact.size if artifact is not None else MAX_MESSAGE_BYTES
        data = store.get(key, most + 1)
        if len(data) > most or (artifact is not None and hashlib.sha256(data).hexdigest() != artifact.sha256):
            raise StoreError(f"{key} changed while it was read")
        (folder / key.rsplit("/", 1)[1]).write_bytes(data)
