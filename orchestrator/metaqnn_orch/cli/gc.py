"""metaqnn-orch gc RUN: what a run left behind and nobody needs any more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.jobs import cluster_of, ended
from metaqnn_orch.application.leftovers import delete as delete_objects
from metaqnn_orch.application.leftovers import left_behind
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import Format, print_json, print_rows, say, tell
from metaqnn_orch.control.retention import Surplus
from metaqnn_orch.errors import BadInput
from metaqnn_orch.reporting.summary import read_run
from metaqnn_orch.settings.model import KEEP_WEIGHTS
from metaqnn_trainer.store.opening import open_store

_COLUMNS: Final = {"what": "", "how many": ",d", "bytes": ",d"}
_JOBS: Final = "Jobs that have ended"


def gc(
    run: options.Run,
    store: options.Store,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete it. Without, it is only said what could go.")
    ] = False,
    keep_weights: Annotated[
        str,
        typer.Option(
            metavar="all|'best N'", help="Whose weights stay: those of all nets, or of the N best. The rest may go."
        ),
    ] = "all",
    launcher: options.Launcher = LauncherName.LOCAL,
    namespace: options.Namespace = None,
    context: options.Context = None,
    output: options.Output = Format.TABLE,
) -> None:
    """Say what a run left behind that nobody needs, or delete it.

    In the store: checkpoints of trials that have ended, weights and histories that no result names (of attempts that
    were killed), and with --keep-weights 'best N' the weights of all other nets. Results, their histories and the
    journal stay, and a note says that the weights were removed. A search keeps to
    execution.keep_weights by itself; this is for runs that have ended.

    In a cluster (--launcher kubernetes, or a release): Jobs that have ended, that of a submitted search, too. A search
    deletes its trials' Jobs itself, when it has their results. What a stopped one left behind stays for 30 days, unless
    execution.kubernetes.keep_seconds says otherwise. Running Jobs are left alone.
    """
    if not re.fullmatch(KEEP_WEIGHTS, keep_weights):
        raise BadInput(f"--keep-weights {keep_weights[:40]!r} is neither all nor like 'best 10'")
    opened = open_store(store)
    view = read_run(opened, run)
    doomed = left_behind(opened, view, keep_weights)
    in_cluster = launcher is LauncherName.KUBERNETES or namespace is not None or context is not None
    jobs: list[Any] = []
    if in_cluster:
        cluster = cluster_of(namespace, context)
        jobs += ended(cluster, view.record, opened.uri)
        for job in jobs if delete else ():
            cluster.delete_job(job["metadata"]["name"], job["metadata"]["uid"])
    if delete:
        delete_objects(opened, run, doomed, f"metaqnn-orch gc --keep-weights '{keep_weights}'", tell)
    _report(doomed, jobs, output, delete=delete, in_cluster=in_cluster)


def _report(doomed: Sequence[Surplus], jobs: Sequence[Any], output: Format, *, delete: bool, in_cluster: bool) -> None:
    kinds = {str(thing.why): [other.size for other in doomed if other.why is thing.why] for thing in doomed}
    rows: list[tuple[str, int, int | None]] = [(what, len(sizes), sum(sizes)) for what, sizes in sorted(kinds.items())]
    if output is Format.JSON:
        objects = [{"key": thing.key, "bytes": thing.size, "why": thing.why} for thing in doomed]
        print_json({"deleted": delete, "objects": objects, "jobs": [job["metadata"]["name"] for job in jobs]})
        return
    if in_cluster:
        rows.append((_JOBS, len(jobs), None))
    if not doomed and not jobs:
        say("nothing is left behind")
        return
    print_rows(_COLUMNS, rows)
    say("deleted" if delete else "nothing was deleted: --delete does it")
