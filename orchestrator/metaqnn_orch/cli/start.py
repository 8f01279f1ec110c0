"""metaqnn-orch start PRESET_OR_FILE"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.datasets import facts
from metaqnn_orch.application.preview import preview
from metaqnn_orch.application.release import Release
from metaqnn_orch.cli import options
from metaqnn_orch.cli.detached import FLAG, start_detached
from metaqnn_orch.cli.dry_run import print_bill
from metaqnn_orch.cli.ending import report
from metaqnn_orch.cli.flags import NO_FLAGS, SEARCH, TRACKING, Flags, taking
from metaqnn_orch.cli.output import Format
from metaqnn_orch.cli.searching import prepare, work
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.settings.sources import load_settings
from metaqnn_trainer.contract.keys import check_name


@taking({**SEARCH, **TRACKING})
def start(
    call: typer.Context,
    preset_or_file: options.PresetOrFile,
    run: options.RunName,
    store: options.Store,
    launcher: options.Launcher = LauncherName.LOCAL,
    flags: Flags = NO_FLAGS,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV file with the accuracies of nets, for --launcher table.")
    ] = None,
    table_delay: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, max=86_400, help="Seconds that each trial takes, for --launcher table."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what the run would cost and create, and create nothing.")
    ] = False,
    detach: Annotated[
        bool, typer.Option(FLAG, help="Search in the background: the terminal may close, and `attach` shows it.")
    ] = False,
    trial_seconds: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            min=0.001,
            max=1e7,
            help="Seconds for each trial, for --dry-run (default: estimated from runs in the store).",
        ),
    ] = None,
    assignments: options.Set = None,
    output: options.Output = Format.TABLE,
    unsafe_single_writer: options.UnsafeSingleWriter = False,
    metrics_port: options.MetricsPort = None,
    health_port: options.HealthPort = None,
    release: Release | None = None,
) -> None:
    """Start a search, or go on with one.

    It samples architectures, trains them, and learns from their rewards: their validation accuracies, unless task or
    objective change it.

    If the run exists, it goes on from its journal, whatever ended it. Its settings may not change, except --parallel,
    --max-trials, the budget and everything under execution. After Ctrl-C the command waits for the trials in training;
    a second Ctrl-C ends it at once. Nothing is lost either way. Trials in a cluster go on without you, so the first
    Ctrl-C ends the command at once.

    With --detach the command returns as soon as the search works on the run, and says how to follow and to stop it.
    What the search says is kept in a file below $XDG_STATE_HOME (default ~/.local/state), of at most 8 MiB.

    \b
    Budget
      The first limit that is reached ends the run. A trial does not begin if it would probably end beyond a limit;
      trials in training are not cut off. With a larger budget the same command goes on.

    \b
    Rehearsals
      --launcher table --table FILE.csv trains nothing: accuracies are looked up in the file. It has the columns net and
      accuracy, or is a replay database in the authors' format. A net that is not in it gets an estimate from the most
      similar ones, and is marked in `trials`; this needs SciPy: pip install 'metaqnn-orch[table]'. No dataset is
      needed. You can go on with a rehearsal only with the same table, and with other runs only without a table.

    \b
    Exit codes
      0          complete, or the budget is used, or no new net was found
      1          no trial ever worked, or too many were abandoned
      2          wrong input, or no keys or wrong ones for the store: nothing was created
      3          the journal is damaged
      4          another orchestrator holds the run
      5          the store fails
      6          nothing can be launched here
      130        stopped by Ctrl-C; the same command goes on
      143        the same by SIGTERM
      129        the same by SIGHUP: the terminal was closed, without nohup
    """
    check_name("run", run)
    above = os.environ, assignments or [], flags, release and release.layer()
    settings = load_settings(preset_or_file, *above, facts(partial(open_store, store), run)).settings
    opened = open_store(store)
    prepared = prepare(opened, run, settings, launcher, release, table, table_delay)
    if dry_run:
        seen = preview(opened, run, settings, launcher, prepared.rehearsal, trial_seconds)
        prepared.launching.ask()
        return print_bill(run, seen, settings, output)
    if detach:
        return start_detached(call.obj, opened, run, output)
    ended = work(
        prepared, unsafe_single_writer=unsafe_single_writer, metrics_port=metrics_port, health_port=health_port
    )
    raise typer.Exit(report(ended, opened.uri, output))
