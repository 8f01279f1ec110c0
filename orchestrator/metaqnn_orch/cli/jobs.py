"""metaqnn-orch cancel | logs: a run's Jobs, from outside of its search."""

from __future__ import annotations

from typing import Annotated

import typer

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.jobs import check_beginning, cluster_of, said_by, stop
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import print_lines, say, tell
from metaqnn_orch.control.record import load_record
from metaqnn_trainer.store.opening import open_store


def cancel(
    run: options.Run,
    store: options.Store,
    launcher: options.Launcher = LauncherName.LOCAL,
    keep_jobs: Annotated[
        bool, typer.Option("--keep-jobs", help="Its trials go on: for a run that moves to another orchestrator.")
    ] = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
) -> None:
    """Stop a run, wherever it is worked on.

    Whoever works on it loses it, and stops at its next step. With --launcher kubernetes its Jobs are deleted, too,
    until no more of them appear; exit code 6 says that they still do. Results stay, nothing that was learned is lost,
    and start goes on with the run.
    """
    opened = open_store(store)
    record = load_record(opened, run)
    cluster = cluster_of(namespace, context) if launcher is LauncherName.KUBERNETES and not keep_jobs else None
    idle = stop(opened, record, cluster, tell)
    say(f"run {run} was not under way" if idle else f"run {run} is stopped; metaqnn-orch start goes on with it")
    if cluster is None and not keep_jobs:
        say("Jobs that it may have in a cluster go on: --launcher kubernetes deletes them")


def logs(
    run: options.Run,
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="Its id, or how it begins.", show_default=False)],
    store: options.Store,
    tail: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the last lines.")] = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
) -> None:
    """Print what a trial's trainer said.

    Of the latest attempt whose Pod is still there: those whose results were ingested are not.
    """
    check_beginning(trial)
    opened = open_store(store)
    record = load_record(opened, run)
    print_lines(said_by(cluster_of(namespace, context), opened, record, trial, tail))
