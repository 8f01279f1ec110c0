"""metaqnn-orch pull RUN"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from metaqnn_orch.application.parts import whole
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import csv_text, say
from metaqnn_orch.control.retention import best_kept
from metaqnn_orch.errors import BadInput, StoreError
from metaqnn_orch.reporting.summary import leaderboard, read_run, repeated, shown_reward, trial_table
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.store.opening import open_store

_FIRST: Final = ("rank", "trial", "net", "reward", "val_accuracy", "params", "seconds", "epsilon", "state")
_OF_STOPPED: Final = ("measured", "predicted", "spread")  # the leaderboard has no net that was stopped early


def pull(
    run: options.Run,
    store: options.Store,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder to write into.", show_default=False)],
    top: Annotated[int, typer.Option(metavar="K", min=1, help="How many of the best trials to download.")] = 10,
) -> None:
    """Download the best trials from the store.

    Writes leaderboard.csv and, per trial, a folder with request.json, result.json, history.jsonl and
    weights.safetensors, and pictures where the task makes some. They are checked against the digests in result.json.
    Of a net that was confirmed, the best of its trainings is downloaded.
    What is missing, or is not what was trained, is named and left out, damaged weights are put aside in the store, and
    the exit code is 5.
    """
    opened = open_store(store)
    view = read_run(opened, run)
    best = leaderboard(view.state, top)
    if not best:
        raise BadInput(
            f"run {run} has no trained net yet", hint=f"metaqnn-orch status {run} --store {shlex.quote(store)}"
        )
    chosen = [best_kept(opened, run, trial) for trial in best]
    columns, table = trial_table(view.state, chosen)
    rows: list[dict[str, Any]] = []
    damaged: list[str] = []
    winner = ""
    try:
        for rank, (trial, row, head) in enumerate(zip(chosen, table, best, strict=True), 1):
            if not trial.attempt:
                damaged.append(f"trial {trial.trial} was imported, so its weights are not in this store")
                continue
            try:
                parts = whole(opened, view, trial)
            except MessageError as error:
                damaged.append(f"trial {trial.trial} is no longer valid: {error}")
                continue
            (to / trial.trial).mkdir(parents=True, exist_ok=True)
            for name, data in parts.items():
                (to / trial.trial / name).write_bytes(data)
            rows.append({"rank": rank, **row, **(repeated(head) if head.confirmations else {})})
            winner = winner or shown_reward(head)
        if rows:
            (to / "leaderboard.csv").write_text(csv_text(_columns(columns), rows), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot write to {to}: {error.strerror}") from None
    if rows:
        say(f"{len(rows)} of {view.state.unique} trained nets in {to}, all digests right")
        say(f"the best, {winner}: {to / rows[0]['trial']}, {rows[0]['net']}")
    if damaged:
        raise StoreError(
            damaged[0] + (f"; and {len(damaged) - 1} more" if len(damaged) > 1 else ""),
            hint=f"metaqnn-orch retrain {run} {damaged[0].split()[1]} trains it again",
        )


def _columns(columns: Sequence[str]) -> list[str]:
    there = ["rank", *columns]
    rest = [name for name in there if name not in _FIRST and name not in _OF_STOPPED]
    return [name for name in _FIRST if name in there] + rest
