"""metaqnn-orch resume RUN"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.release import Release
from metaqnn_orch.application.resuming import as_recorded
from metaqnn_orch.cli import options
from metaqnn_orch.cli.ending import report
from metaqnn_orch.cli.flags import NO_FLAGS, RESUMED, Flags, taking
from metaqnn_orch.cli.output import Format, tell
from metaqnn_orch.cli.searching import prepare, work
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.control.record import check_same
from metaqnn_orch.reporting.summary import read_run


@taking(RESUMED)
def resume(
    run: options.Run,
    store: options.Store,
    where: Annotated[
        LauncherName | None,
        typer.Option("--launcher", help="Where trials run from now on (default: where they ran last)."),
    ] = None,
    flags: Flags = NO_FLAGS,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The table of a rehearsal, where it is not in this folder.")
    ] = None,
    table_delay: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, max=86_400, help="Seconds that each trial of a rehearsal takes."),
    ] = None,
    assignments: options.Set = None,
    output: options.Output = Format.TABLE,
    unsafe_single_writer: options.UnsafeSingleWriter = False,
    metrics_port: options.MetricsPort = None,
    health_port: options.HealthPort = None,
    release: Release | None = None,
) -> None:
    """Go on with a run.

    It needs nothing but the name: the settings are those of the run, and it works as in its last session (launcher,
    trials in parallel, budget, cluster and tracking), unless options say otherwise. What a run does not record, because
    an earlier release began it, is asked for by name. Everything else is as in `start`.
    """
    opened = open_store(store)
    view = read_run(opened, run, learning=False)
    found = as_recorded(view, os.environ, assignments or [], flags, release, where, table)
    check_same(view.record, found.settings)
    tell(f"going on with run {run} as it was: launcher {found.launcher}, {found.settings.execution.parallel} at a time")
    prepared = prepare(opened, run, found.settings, found.launcher, release, found.table, table_delay)
    ended = work(
        prepared, unsafe_single_writer=unsafe_single_writer, metrics_port=metrics_port, health_port=health_port
    )
    raise typer.Exit(report(ended, opened.uri, output))
