"""metaqnn-orch report RUN"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from metaqnn_orch.application.finals import default_name
from metaqnn_orch.application.listener import Tone
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import csv_text, say, tell
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.errors import BadInput
from metaqnn_orch.needs import need
from metaqnn_orch.next_command import next_command
from metaqnn_orch.reporting.curves import Curves
from metaqnn_orch.reporting.front import parse_axes
from metaqnn_orch.reporting.history import read_best, read_history, read_pictures
from metaqnn_orch.reporting.page import MARK
from metaqnn_orch.reporting.report import compose
from metaqnn_orch.reporting.summary import goes_on, leaderboard, read_known
from metaqnn_orch.reporting.verdict import Finals, read_verdict
from metaqnn_trainer.alone import alone, write_whole
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.store.base import Store


def report(
    run: options.Run,
    store: options.Store,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder to write into.", show_default=False)],
    top: Annotated[int, typer.Option(metavar="K", min=1, max=100, help="How many of the best nets to draw.")] = 10,
    price: Annotated[
        float | None,
        typer.Option(
            metavar="P", min=0, max=1e6, help="Price of an hour of training on one device (default: from the budget)."
        ),
    ] = None,
    front: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y",
            help="Two measures for the Pareto front: less of X and more of Y is better (default: each goal of the "
            "search, or params, and the reward).",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are no report's.")] = False,
) -> None:
    """Write a report of a run.

    index.html is one file that needs no server and no network: figures, tables that can be sorted, drawings of the best
    nets, cost, settings. Beside it are each figure as SVG, PNG and CSV, and settings.yaml with the settings as start
    takes them. You can write a report at any time, also while the run goes on.

    Needs pip install 'metaqnn-orch[report]'.
    """
    need("report", "a report")
    axes = parse_axes(front) if front is not None else None
    if not force:
        _refuse_others(to, ("index.html", "settings.yaml", "trials.csv"))  # before anything is read
    opened = open_store(store)
    view = read_known(opened, run)
    Curves(opened).fill(view, view.state.trials.values())
    if view.state.best is None:
        raise BadInput(
            f"run {run} has no trained net yet",
            hint=next_command(f"status {run}", opened.uri),
        )
    if price is None and view.state.opened is not None:
        price = view.state.opened.budget.price_per_gpu_hour
    shown = read_pictures(opened, view, leaderboard(view.state, top), partial(tell, tone=Tone.CAUTION))
    made = compose(
        view,
        read_history(opened, view),
        read_best(opened, view),
        top=top,
        price=price,
        axes=axes,
        shown=shown,
        finals=_finals(opened, run),
        works=goes_on(opened, run, view.state),
    )
    files = {**made.files, **{name: csv_text([*rows[0]], rows).encode() for name, rows in made.tables.items()}}
    try:
        to.mkdir(parents=True, exist_ok=True)
        with alone(to):  # two reports that are written here at once are written one after the other
            if not force:
                _refuse_others(to, files)
            for name, data in files.items():
                write_whole(to / name, data)
    except OSError as error:
        raise BadInput(f"cannot write to {str(to)!r}: {error.strerror}") from None
    say(f"{to / 'index.html'}: {amount(view.state.unique, 'net')}, {amount(len(files), 'file')}")


def _finals(store: Store, run: str) -> Finals | None:
    """The verdict on this run, or on its best nets under the name that finals have by default; None where there is
    none, or it is damaged, which is said.
    """
    for name in (run, default_name(run, None, from_weights=False)):
        try:
            verdict = read_verdict(store, name)
        except MessageError as error:
            tell(f"the verdict of the finals is left out: {error}", Tone.CAUTION)
            continue
        if verdict is not None:
            return Finals(name, verdict)
    return None


def _refuse_others(to: Path, names: Iterable[str]) -> None:
    """Refuse a folder with files of somebody else that have one of these names of a report's files.

    Raises:
        BadInput: there are such files, or they cannot be read.
    """
    page = to / "index.html"
    try:
        if page.exists() and MARK.encode() in page.read_bytes():
            return
        there = [name for name in names if (to / name).exists()]
    except OSError as error:
        raise BadInput(f"cannot read {str(error.filename)!r}: {error.strerror}") from None
    if there:
        raise BadInput(
            f"{str(to)!r} is no report's folder, and a report would overwrite {', '.join(there)}",
            hint="give another folder, or --force",
        )
