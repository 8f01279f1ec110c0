"""metaqnn-orch cancel | logs: a run, handled from outside of its search."""

from __future__ import annotations

from typing import Annotated

import typer

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.jobs import cluster_of, end_submitted, said_by, said_by_search, stop
from metaqnn_orch.application.machine import has_lines, said_here
from metaqnn_orch.application.naming import find_trial
from metaqnn_orch.application.release import Release
from metaqnn_orch.cli import completion, options
from metaqnn_orch.cli.output import print_lines, say, tell, typeable
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.control.record import load_record
from metaqnn_orch.errors import NotFound
from metaqnn_orch.next_command import next_command
from metaqnn_orch.reporting.summary import read_only
from metaqnn_trainer.store.base import Store


def cancel(
    run: options.Run,
    store: options.Store,
    launcher: options.Launcher = LauncherName.LOCAL,
    keep_jobs: Annotated[
        bool, typer.Option("--keep-jobs", help="Let its trials go on, for a run that moves to another orchestrator.")
    ] = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
) -> None:
    """Stop a run, wherever its orchestrator is.

    The orchestrator that works on the run loses its hold and stops at its next step. With --launcher kubernetes the
    run's Jobs are deleted, too, until no more of them appear; exit code 6 means that they still do. So is the Job of a
    submitted search, also with --keep-jobs and before it has begun. Results stay, nothing that was learned is lost, and
    start goes on with the run.
    """
    opened = open_store(store)
    cluster = cluster_of(namespace, context) if launcher is LauncherName.KUBERNETES else None
    try:
        record = load_record(opened, run)
    except NotFound:
        if cluster is None or not end_submitted(cluster, run, opened.uri, tell):
            raise
        say(f"run {run} had not begun")
        return
    idle = stop(opened, record, None if keep_jobs else cluster, tell)
    if cluster is not None:  # after its Pod has lost the run, or the Pod would be taken for one that was killed
        end_submitted(cluster, run, opened.uri, tell)
    goes_on = typeable(next_command(f"resume {run}", opened.uri))
    say(f"nobody worked on run {run}" if idle else f"run {run} is stopped; {goes_on} goes on with it")
    if cluster is None and not keep_jobs and not _works_here(opened, run):
        say("if it has Jobs in a cluster, they go on; to delete them, add --launcher kubernetes")


def logs(
    run: options.Run,
    store: options.Store,
    trial: Annotated[
        str | None,
        typer.Argument(
            metavar="[TRIAL]",
            help="Id of the trial, or the first characters of it.",
            show_default=False,
            autocompletion=completion.trial,
        ),
    ] = None,
    tail: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Print only this many of the last lines.")
    ] = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    release: Release | None = None,
) -> None:
    """Print the log of a search, or of one of its trials.

    Without TRIAL it is what the last search of the run has said, where it was started with --detach on this machine, or
    was submitted to the cluster.

    Of a trial on this machine it is what its trainer has said in all its attempts; 256 KiB of a trial are kept, and
    64 MiB of all trials of a run, below $XDG_STATE_HOME (default ~/.local/state). Of a trial in a cluster it is the log
    of the latest attempt whose Pod still exists. Pods are deleted when their results have been read. Of a Pod that
    trains several trials, it is the lines about this one.
    """
    opened = open_store(store)
    record = load_record(opened, run)
    if trial is not None:
        trial = find_trial(read_only(opened, run), trial, opened.uri).trial
    asked = release is not None or namespace is not None or context is not None
    if not asked and (has_lines(opened.uri, run, trial) or _works_here(opened, run)):
        lines = said_here(opened.uri, run, trial)
    elif trial is None:
        lines = said_by_search(cluster_of(namespace, context), opened, run, tail)
    else:
        lines = said_by(cluster_of(namespace, context), opened, record, trial, tail)
    print_lines(lines[-tail:] if tail is not None else lines)


def _works_here(store: Store, run: str) -> bool:
    """Whether the last search of the run launched its trials on the machine that it ran on."""
    opened = read_only(store, run).state.opened
    return opened is not None and opened.launcher != LauncherName.KUBERNETES
