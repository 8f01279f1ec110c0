"""metaqnn-orch pull RUN"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, TypedDict, cast

import typer

from metaqnn_orch.application.listener import Tone
from metaqnn_orch.application.parts import whole
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, csv_text, print_json, say, tell
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.control.retention import best_kept
from metaqnn_orch.errors import BadInput, ObjectMissing, StoreError
from metaqnn_orch.next_command import next_command
from metaqnn_orch.reporting.summary import leaderboard, read_only, repeated, shown_reward, trial_table
from metaqnn_trainer.alone import write_whole
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.text import amount

_FIRST: Final = ("rank", "trial", "net", "reward", "val_accuracy", "params", "seconds", "epsilon", "state")
_OF_STOPPED: Final = ("measured", "predicted", "spread")  # the leaderboard has no net that was stopped early


class LeftOut(TypedDict):
    """A trial that could not be downloaded."""

    trial: str
    """Id of the trial."""
    reason: str
    """Why it was left out."""


class PulledTrial(TypedDict):
    """A trial that was downloaded; it also has the other columns of `trials -o csv`."""

    rank: int
    """Place among the best, from 1."""
    trial: str
    """Id of the trial, and name of its folder."""
    net: str
    """The net."""
    reward: float | None
    """Reward that the searcher was told."""


class Pulled(TypedDict):
    """What was downloaded."""

    run: str
    """Name of the run."""
    to: str
    """The folder, which has a folder for each trial."""
    trials: list[PulledTrial]
    """The trials as in leaderboard.csv, the best first."""
    left_out: list[LeftOut]
    """Trials that were left out."""


class _Left(NamedTuple):
    """A trial that is left out, and why."""

    trial: str
    reason: str
    is_imported: bool = False


def pull(
    run: options.Run,
    store: options.Store,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder to write into.", show_default=False)],
    top: Annotated[int, typer.Option(metavar="K", min=1, help="How many of the best trials to download.")] = 10,
    output: options.Output = Format.TABLE,
) -> None:
    """Download the best trials from the store.

    Writes leaderboard.csv and, per trial, a folder with request.json, result.json, history.jsonl and
    weights.safetensors, and pictures where the task makes some. They are checked against the digests in result.json.
    Of a net that was confirmed, the best of its trainings is downloaded.
    A trial of which anything is missing, cannot be read, or is not what was trained, is named and left out; the others
    are downloaded all the same. Damaged weights are put aside in the store, and the exit code is 5.
    """
    opened = open_store(store)
    view = read_only(opened, run)
    best = leaderboard(view.state, top)
    if not best:
        raise BadInput(f"run {run} has no trained net yet", hint=next_command(f"status {run}", opened.uri))
    columns, _ = trial_table(view.state, best, works=False)
    rows: list[dict[str, Any]] = []
    left: list[_Left] = []
    away: StoreError | None = None
    winner = ""
    try:
        for rank, head in enumerate(best, 1):
            try:
                trial = best_kept(opened, run, head)
                if not trial.attempt:
                    reason = f"trial {head.trial} was imported, so its weights are not in this store"
                    left.append(_Left(head.trial, reason, is_imported=True))
                    continue
                parts = whole(opened, view, trial)
            except (MessageError, ObjectMissing) as error:
                left.append(_Left(head.trial, f"trial {head.trial} is no longer valid: {error}"))
                continue
            except StoreError as error:
                if away is not None and error.transient:  # two in a row: it is the store, and no object of it
                    raise
                away = error
                left.append(_Left(head.trial, f"trial {head.trial} cannot be read: {error}"))
                continue
            away = None
            (to / trial.trial).mkdir(parents=True, exist_ok=True)
            for name, data in parts.items():
                write_whole(to / trial.trial / name, data)
            (row,) = trial_table(view.state, [trial], works=False)[1]
            rows.append({"rank": rank, **row, **(repeated(head) if head.confirmations else {})})
            winner = winner or shown_reward(head)
        if rows:
            write_whole(to / "leaderboard.csv", csv_text(_columns(columns), rows).encode())
    except OSError as error:
        raise BadInput(f"cannot write to {to}: {error.strerror}") from None
    if rows:
        say(f"{len(rows)} of {amount(view.state.unique, 'trained net')} in {to}, all digests right")
        say(f"the best, {winner}: {to / rows[0]['trial']}, {rows[0]['net']}")
    if output is Format.JSON:
        missing: list[LeftOut] = [{"trial": one.trial, "reason": one.reason} for one in left]
        pulled: Pulled = {"run": run, "to": str(to), "trials": cast(list[PulledTrial], rows), "left_out": missing}
        print_json(pulled)
    for one in left[1:]:
        tell(one.reason, Tone.CAUTION)
    if left:
        count = f" ({len(left)} of {len(best)} are left out)" if len(left) > 1 else ""
        lost = next((one.trial for one in left if not one.is_imported), None)
        hint = f"{next_command(f'retrain {run} {lost}', opened.uri)} trains it again" if lost else ""
        raise StoreError(f"{left[0].reason}{count}", hint=hint)


def _columns(columns: Sequence[str]) -> list[str]:
    there = ["rank", *columns]
    rest = [name for name in there if name not in _FIRST and name not in _OF_STOPPED]
    return [name for name in _FIRST if name in there] + rest
