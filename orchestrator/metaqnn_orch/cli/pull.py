"""metaqnn-orch pull RUN"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import csv_text, say
from metaqnn_orch.control.ingest import Refused, Trusted, read_result
from metaqnn_orch.control.objective import Objective
from metaqnn_orch.control.requests import request_of
from metaqnn_orch.control.retention import read_removed
from metaqnn_orch.control.state import Trial
from metaqnn_orch.errors import BadInput, StoreError
from metaqnn_orch.reporting.summary import RunView, leaderboard, read_run, trial_table
from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import ENOUGH_BYTES
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.opening import open_store


def pull(
    run: options.Run,
    store: options.Store,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder to write into.", show_default=False)],
    top: Annotated[int, typer.Option(metavar="K", min=1, help="How many of the best trials.")] = 10,
) -> None:
    """Copy the best trials out of the store.

    Writes leaderboard.csv and, per trial, a folder with request.json, result.json, history.jsonl and
    weights.safetensors. Weights and history are checked against the digests in result.json. What is missing, or is not
    what was trained, is named and left out, damaged weights are put aside in the store, and the exit code is 5.
    """
    opened = open_store(store)
    view = read_run(opened, run)
    best = leaderboard(view.state, top)
    if not best:
        raise BadInput(
            f"run {run} has no trained net yet", hint=f"metaqnn-orch status {run} --store {shlex.quote(store)}"
        )
    columns, table = trial_table(view.state, best)
    rows: list[dict[str, Any]] = []
    damaged: list[str] = []
    try:
        for rank, (trial, row) in enumerate(zip(best, table, strict=True), 1):
            if not trial.attempt:
                damaged.append(f"trial {trial.trial} was imported: what was trained is where it came from")
                continue
            try:
                parts = _whole(opened, view, trial)
            except MessageError as error:
                damaged.append(f"trial {trial.trial} cannot be trusted any more: {error}")
                continue
            (to / trial.trial).mkdir(parents=True, exist_ok=True)
            for name, data in parts.items():
                (to / trial.trial / name).write_bytes(data)
            rows.append({"rank": rank, **row})
        if rows:
            (to / "leaderboard.csv").write_text(csv_text(["rank", *columns], rows), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot write to {to}: {error.strerror}") from None
    if rows:
        say(f"{len(rows)} of {view.state.unique} trained nets in {to}, all digests right")
        say(f"the best, {rows[0]['reward']:.4f}: {to / rows[0]['trial']}, {rows[0]['net']}")
    if damaged:
        raise StoreError(
            damaged[0] + (f"; and {len(damaged) - 1} more" if len(damaged) > 1 else ""),
            hint=f"metaqnn-orch retrain {run} {damaged[0].split()[1]} trains it again",
        )


def _whole(store: Store, view: RunView, trial: Trial) -> dict[str, bytes]:
    """All parts of a trial, by the names of their files, if they are still what the agent was told of.

    Raises:
        MessageError: they are not.
    """
    run, name = view.record.run, trial.trial
    settings = view.state.settings
    found = read_result(store, view.record.info, request_of(view.record, settings, trial), Objective(settings))
    removed = read_removed(store, run, name) if isinstance(found, Refused) else None
    if removed is not None:
        raise MessageError(str(removed))
    if not isinstance(found, Trusted):
        raise MessageError(found.reason if found is not None else "its result.json is gone")
    if found.reward != trial.reward:
        raise MessageError(f"its result.json says {found.reward}, the journal {trial.reward}")
    siblings = {
        artifacts.PLAIN_NAMES[kind]: artifacts.read(store, run, name, kind, artifact)
        for kind, artifact in artifacts.named(found.result).items()
    }
    messages = {
        key.rpartition("/")[2]: store.get(key, ENOUGH_BYTES)
        for key in (keys.request(run, name), keys.result(run, name))
    }
    return messages | siblings
