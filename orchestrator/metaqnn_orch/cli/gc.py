"""metaqnn-orch gc RUN: what a run left behind and nobody needs any more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import typer

from metaqnn_orch.application.assembly import LauncherName
from metaqnn_orch.application.session import now
from metaqnn_orch.cli import options
from metaqnn_orch.cli.jobs import cluster_of, selector_of
from metaqnn_orch.cli.output import Format, print_json, print_rows, say
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.retention import Removed, Surplus, kept, orphans, remove, surplus
from metaqnn_orch.errors import BadInput
from metaqnn_orch.launchers.kubernetes.errand import search_job_name
from metaqnn_orch.launchers.kubernetes.names import STORE, annotation
from metaqnn_orch.launchers.kubernetes.status import live
from metaqnn_orch.reporting.summary import read_run
from metaqnn_orch.settings.model import KEEP_WEIGHTS
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.base import Store
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
    entries = list(opened.list(keys.trials(run)))
    doomed = surplus(view.state, entries, run, kept(keep_weights))
    already = {thing.key for thing in doomed}
    doomed += [thing for thing in orphans(opened, view.state, entries, run) if thing.key not in already]
    in_cluster = launcher is LauncherName.KUBERNETES or namespace is not None or context is not None
    jobs: list[Any] = []
    if in_cluster:
        cluster = cluster_of(namespace, context)
        jobs += _ended(cluster, view.record, opened.uri)
        for job in jobs if delete else ():
            cluster.delete_job(job["metadata"]["name"], job["metadata"]["uid"])
    if delete:
        _delete(opened, run, doomed, keep_weights)
    _report(doomed, jobs, output, delete=delete, in_cluster=in_cluster)


def _ended(cluster: Any, record: RunRecord, store: str) -> Iterator[Any]:
    """Jobs of trials, and that of a search which was submitted for this store."""
    from metaqnn_orch.launchers.kubernetes.cluster import Resource
    from metaqnn_orch.launchers.kubernetes.runner import find

    yield from (job for job in cluster.list(Resource.JOBS, selector_of(record)).items if not live(job))
    search = find(cluster, search_job_name(record.run))
    if search is not None and not live(search) and annotation(search, STORE).rstrip("/") == store:
        yield search


def _delete(store: Store, run: str, doomed: Sequence[Surplus], keep_weights: str) -> None:
    note = Removed(at=now(), by=f"metaqnn-orch gc --keep-weights '{keep_weights}'")
    for number, thing in enumerate(doomed, 1):
        remove(store, run, thing, note)
        if number % 100 == 0:
            say((f"{number:,} of {len(doomed):,} objects deleted", "dim"))


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
