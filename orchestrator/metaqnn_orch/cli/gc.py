"""metaqnn-orch gc RUN: delete the leftovers of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, TypedDict

import typer

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.jobs import cluster_of, ended, ended_orphans
from metaqnn_orch.application.leftovers import delete as delete_objects
from metaqnn_orch.application.leftovers import left_behind
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_json, print_rows, say, tell
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.control.retention import Surplus
from metaqnn_orch.errors import BadInput
from metaqnn_orch.reporting.summary import read_only
from metaqnn_orch.settings.model import KEEP_WEIGHTS

_COLUMNS: Final = {"what": "", "how many": ",d", "bytes": ",d"}
_JOBS: Final = "Jobs that have ended"
_PODS: Final = "Pods that have ended, and whose Job is gone"


class Leftover(TypedDict):
    """An object of the store that nobody needs."""

    key: str
    """Key of the object in the store."""
    bytes: int
    """Size of the object."""
    why: str
    """What kind of leftover it is."""


class Leftovers(TypedDict):
    """What a run left behind."""

    deleted: bool
    """Whether it was deleted, or only listed."""
    objects: list[Leftover]
    """Objects of the store."""
    jobs: list[str]
    """Names of Jobs that have ended."""
    pods: list[str]
    """Names of Pods that have ended, and whose Job is gone."""


def gc(
    run: options.Run,
    store: options.Store,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete what is listed. Without this option nothing is deleted.")
    ] = False,
    keep_weights: Annotated[
        str,
        typer.Option(
            metavar="all|'best N'", help="Which weights to keep: `all`, or `best N` for those of the N best nets."
        ),
    ] = "all",
    launcher: options.Launcher = LauncherName.LOCAL,
    namespace: options.Namespace = None,
    context: options.Context = None,
    output: options.Output = Format.TABLE,
) -> None:
    """List or delete what a run left behind.

    In the store these are checkpoints of trials that have ended, weights and histories that belong to no result (from
    killed attempts), and with --keep-weights 'best N' the weights of all other nets. Results, their histories and the
    journal stay, and a note says that the weights were removed. While a search goes on it follows
    execution.keep_weights itself; this command is for runs that have ended.

    In a cluster (--launcher kubernetes, or a release) these are Jobs that have ended, including that of a submitted
    search, and Pods that have ended and whose Job was deleted without them. A search deletes the Jobs of its trials
    when it has their results. Jobs of a stopped search stay for 30 days, or as long as
    execution.kubernetes.keep_seconds says. Running Jobs are left alone.
    """
    if not re.fullmatch(KEEP_WEIGHTS, keep_weights):
        raise BadInput(f"--keep-weights is {keep_weights[:40]!r}, but must be all, or for example 'best 10'")
    opened = open_store(store)
    view = read_only(opened, run)
    doomed = left_behind(opened, view, keep_weights)
    in_cluster = launcher is LauncherName.KUBERNETES or namespace is not None or context is not None
    jobs: list[Any] = []
    pods: list[Any] = []
    if in_cluster:
        cluster = cluster_of(namespace, context)
        jobs += ended(cluster, view.record, opened.uri)
        pods += ended_orphans(cluster, view.record)
        for things, remove in ((jobs, cluster.delete_job), (pods, cluster.delete_pod)):
            for thing in things if delete else ():
                remove(thing["metadata"]["name"], thing["metadata"]["uid"])
    if delete:
        delete_objects(opened, run, doomed, f"metaqnn-orch gc --keep-weights '{keep_weights}'", tell)
    _report(doomed, jobs, pods, output, delete=delete, in_cluster=in_cluster)


def _report(
    doomed: Sequence[Surplus],
    jobs: Sequence[Any],
    pods: Sequence[Any],
    output: Format,
    *,
    delete: bool,
    in_cluster: bool,
) -> None:
    kinds = {str(thing.why): [other.size for other in doomed if other.why is thing.why] for thing in doomed}
    rows: list[tuple[str, int, int | None]] = [(what, len(sizes), sum(sizes)) for what, sizes in sorted(kinds.items())]
    if output is Format.JSON:
        found: Leftovers = {
            "deleted": delete,
            "objects": [{"key": thing.key, "bytes": thing.size, "why": thing.why} for thing in doomed],
            "jobs": [job["metadata"]["name"] for job in jobs],
            "pods": [pod["metadata"]["name"] for pod in pods],
        }
        print_json(found)
        return
    if in_cluster:
        rows.append((_JOBS, len(jobs), None))
        rows += [(_PODS, len(pods), None)] if pods else []
    if not doomed and not jobs and not pods:
        say("nothing that nobody needs was found")
        return
    print_rows(_COLUMNS, rows)
    say("deleted" if delete else "nothing was deleted; to delete it, add --delete")
