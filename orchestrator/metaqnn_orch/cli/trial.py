"""metaqnn-orch trial RUN TRIAL"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from metaqnn_orch.application.naming import find_trial
from metaqnn_orch.application.trial_view import trial_view
from metaqnn_orch.cli import completion, options
from metaqnn_orch.cli.output import Format, print_fields, print_json, print_lines, print_rows, size_in_words
from metaqnn_orch.cli.screen import sparkline
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.reporting.curves import why_no_curve
from metaqnn_orch.reporting.summary import goes_on, read_only, reward_name, shown_reward
from metaqnn_trainer.contract.text import amount


def trial(
    run: options.Run,
    name: Annotated[
        str,
        typer.Argument(
            metavar="TRIAL",
            help="Id of the trial, or the first characters of it.",
            show_default=False,
            autocompletion=completion.trial,
        ),
    ],
    store: options.Store,
    output: options.Output = Format.TABLE,
) -> None:
    """Show one trial: its net, curve, attempts, device and files.

    The curve has one block for each epoch; with -o json all numbers of each epoch follow. A trial that is in training
    shows its epochs so far. `waiting` means that it is in flight, and nobody works on the run.
    """
    opened = open_store(store)
    view = read_only(opened, run)
    found = find_trial(view, name, opened.uri)
    shown = trial_view(opened, view, found, works=goes_on(opened, run, view.state))
    if output is Format.JSON:
        print_json(shown)
        return
    print_lines([found.net])
    if shown["layers"]:
        rows = [tuple(layer.values()) for layer in shown["layers"]]
        total = ("total", "", sum(row[2] for row in rows), sum(row[3] for row in rows))
        columns = {view.state.space.part: "", "output": "", "params": ",d", "MACs": ",d"}
        print_rows(columns, [*rows, total])
    print_fields(_fields(shown, found, reward_name(view.state.settings), view.record.table))
    if shown["lost_attempts"]:
        attempts = [tuple(one.values()) for one in shown["lost_attempts"]]
        print_rows({"attempt": "d", "end": "", "at": "", "detail": ""}, attempts)
    files = [(size_in_words(file["bytes"]), file["key"]) for file in shown["files"]]
    print_rows({"size": ">", "file": ""}, files)


def _fields(shown: Mapping[str, Any], found: Trial, reward: str, table: str | None) -> Iterator[tuple[str, object]]:
    """The names and values of what is known; `table` is what answered instead of a trainer."""
    values: dict[str, object] = {
        "trial": shown["trial"],
        "state": str(shown["state"]).replace("_", " "),
        "reason": shown["reason"],
        "epsilon": shown.get("origin", shown["epsilon"]),
        "recipe that differs": ", ".join(f"{k}={json.dumps(v)}" for k, v in shown.get("recipe", {}).items()),
        "begins with weights of": shown.get("initial"),
        "confirms": shown.get("confirms"),
        "confirmed by": ", ".join(shown["confirmed_by"]),
        reward: shown_reward(found) if found.reward is not None else None,
        "measures": ", ".join(f"{key} {value:.6g}" for key, value in shown["measures"].items()),
        "curve": _curve(shown["curve"]) or f"none: {why_no_curve(found, table)}",
        "best epoch": shown["best_epoch"],
        "attempts": shown["attempts"],
        "device": shown["device"],
        "seconds": shown["seconds"],
        "images per second": shown["images_per_second"],
        "began": shown["started"],
        "ended": shown["ended"],
    }
    yield from ((name, value) for name, value in values.items() if value not in (None, ""))


def _curve(rewards: Sequence[float]) -> str:
    """The rewards of the epochs as blocks."""
    if not rewards:
        return ""
    return f"{sparkline(rewards)}  {rewards[0]:.4f} to {rewards[-1]:.4f} in {amount(len(rewards), 'epoch')}"
