"""metaqnn-orch import-replay FILE and export-replay RUN: the authors' format."""

from __future__ import annotations

import os
import shlex
from functools import partial
from pathlib import Path
from typing import Annotated, TypedDict

import typer

from metaqnn_orch.application.beginning import begin_imported
from metaqnn_orch.application.datasets import facts
from metaqnn_orch.application.listener import Tone
from metaqnn_orch.cli import completion, options
from metaqnn_orch.cli.output import Format, csv_text, emit, print_fields, print_json, say, tell, typeable
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.control.record import load_record
from metaqnn_orch.control.resume import check_imported
from metaqnn_orch.errors import BadInput
from metaqnn_orch.replay.database import read_replay
from metaqnn_orch.replay.format import read_file, refuse_other_runs
from metaqnn_orch.reporting.replay_export import replay_columns, replay_rows
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.contract.keys import check_name
from metaqnn_trainer.contract.text import amount


class ImportedRun(TypedDict):
    """What was imported."""

    run: str
    """Name of the run."""
    rows: int
    """Number of rows that the searcher learned from."""
    refused: int
    """Number of rows that were refused."""
    reasons: list[str]
    """Why rows were refused: the first reasons."""
    unique: int
    """Number of different nets."""
    epsilon: float | None
    """Epsilon for the next net; None for a method without one."""
    q_digest: str
    """sha256, in hexadecimal digits, of what the searcher believes."""


def import_replay(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A replay database in the authors' format.", show_default=False)
    ],
    run: Annotated[
        str, typer.Option("--run", metavar="NAME", help="Name of the new run: a-z, 0-9 and '-'.", show_default=False)
    ],
    space: Annotated[
        str,
        typer.Option(
            "--space",
            metavar="PRESET_OR_FILE",
            help="The settings of the new run.",
            show_default=False,
            autocompletion=completion.preset_or_file,
        ),
    ],
    store: options.Store,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse the whole file if one of its rows is not valid.")
    ] = False,
    assignments: options.Set = None,
    output: options.Output = Format.TABLE,
) -> None:
    """Begin a run with the results of others.

    It reads a replay database in the authors' format (bowenbaker/metaqnn), or what forks of it write: CSV with at least
    the columns net and accuracy_best_val, in any order. The agent learns from the rows in the order of
    ix_q_value_update, or in their own order without this column. A net that appears twice counts as sampled twice. Nets
    may contain dropout, D(i,n), which is left out here. Of the other columns, epsilon, iter_best_val, time_finished and
    machine_run_on are used if they are there. A time may be in seconds since 1970 or as in 2019-05-03 11:22:10 (UTC, if
    no zone is given). It is said which columns are missing, what is assumed, and which columns are not used.

    Rows whose net is not in the space, or whose numbers are impossible, are refused one by one, and the first reasons
    are printed. If an import was interrupted, the same command completes it. `start` with the same settings goes on
    from there.
    """
    check_name("run", run)
    look = facts(partial(open_store, store))
    settings = load_settings(space, os.environ, assignments or [], {}, look=look).settings
    refuse_other_runs(settings, file.name)
    replay = read_replay(read_file(file), file.name, settings)
    refused = replay.refusals
    if refused.count and strict:
        raise BadInput(f"{file.name}: {refused}", hint="without --strict the other rows are imported")
    opened = open_store(store)
    state = begin_imported(opened, run, settings, replay)
    for note in replay.notes:
        tell(note, Tone.CAUTION)
    if refused.count:
        say(str(refused))
    found: ImportedRun = {
        "run": run,
        "rows": len(replay.presentations),
        "refused": refused.count,
        "reasons": refused.reasons,
        "unique": state.unique,
        "epsilon": state.epsilon,
        "q_digest": state.beliefs(),
    }
    if output is Format.JSON:
        print_json(found)
        return
    print_fields((name.replace("_", " "), value) for name, value in found.items() if name != "reasons")
    start = ["metaqnn-orch", "start", space, "--run", run, "--store", store]
    start += [word for assignment in assignments or [] for word in ("--set", assignment)]
    say(typeable(f"next: {shlex.join(start)}"))


def export_replay(
    run: options.Run,
    store: options.Store,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="File to write (default: standard output).", show_default=False),
    ] = None,
) -> None:
    """Write a run as a replay database in the authors' format.

    A row for each time that the searcher was told of a net, in that order; what is not known is -1. Importing it again
    with the settings of the run gives the same Q-table. A run whose reward is not the validation accuracy has more
    columns: `reward`, and `measure.NAME` for each measure.
    """
    opened = open_store(store)
    record = load_record(opened, run)
    check_imported(opened, record)
    rows = [*replay_rows(opened, record)]
    text = csv_text(replay_columns(rows), rows)
    if to is None:
        emit(text)
        return
    try:
        to.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise BadInput(f"cannot write to {str(to)!r}: {error.strerror}") from None
    say(f"{amount(text.count(chr(10)) - 1, 'row')} in {to}")
