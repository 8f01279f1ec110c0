"""metaqnn-orch cancel | logs: a run's Jobs, from outside of its search."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

from metaqnn_orch.application.assembly import LauncherName, open_cluster
from metaqnn_orch.application.session import VERSION, now
from metaqnn_orch.cli import options
from metaqnn_orch.cli.output import print_lines, say
from metaqnn_orch.control.holder import BEAT_SECONDS, this_process
from metaqnn_orch.control.record import RunRecord, load_record
from metaqnn_orch.control.takeover import take_over
from metaqnn_orch.errors import BadInput, LauncherError, NotFound
from metaqnn_orch.launchers.kubernetes.names import ATTEMPT, TRIAL, RunRef, label, selector
from metaqnn_orch.launchers.kubernetes.status import live
from metaqnn_orch.launchers.kubernetes.template import CONTAINER
from metaqnn_orch.settings.model import DNS_LABEL, KubernetesSettings
from metaqnn_trainer.store.opening import open_store

LOOK: Final = 1.0  # seconds between two looks at the Jobs
PATIENCE: Final = 30.0  # seconds until whoever lost the run must have stopped

_TRIAL_BEGINNING: Final = r"[0-9a-f]{1,12}"


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
    holder, idle = take_over(opened, record, this_process(secrets.token_hex(8), now()), VERSION)
    if holder is not None:
        say(f"run {run} was taken from {holder.owner}, which stops at its next step")
    if cluster is not None:
        # Until it hears of it, which it looks for that often, it would start again what is deleted here.
        count = delete_until_none_appears(cluster, record, BEAT_SECONDS + 1 if holder is not None else 0.0)
        say(f"{count} Jobs deleted in namespace {cluster.namespace}")
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
    if not re.fullmatch(_TRIAL_BEGINNING, trial):
        raise BadInput(f"{trial[:40]!r} is no trial: up to twelve of 0-9 and a-f")
    record = load_record(open_store(store), run)
    cluster = cluster_of(namespace, context)
    from metaqnn_orch.launchers.kubernetes.cluster import Resource

    pods = cluster.list(Resource.PODS, selector_of(record)).items
    found = sorted((_order(pod), pod["metadata"]["name"]) for pod in pods if label(pod, TRIAL).startswith(trial))
    trials = {label(pod, TRIAL) for pod in pods if label(pod, TRIAL).startswith(trial)}
    if not found:
        raise NotFound(
            f"no Pod of trial {trial} of run {run} in namespace {cluster.namespace}",
            hint=f"what became of it: metaqnn-orch trials {run} --store {store}",
        )
    if len(trials) > 1:
        raise BadInput(f"{trial} is the beginning of {len(trials)} trials: {', '.join(sorted(trials)[:5])}")
    print_lines(cluster.read_log(found[-1][1], CONTAINER, tail).splitlines())


def cluster_of(namespace: str | None, context: str | None) -> Any:
    if namespace is not None and not re.fullmatch(DNS_LABEL, namespace):
        raise BadInput(f"--namespace {namespace[:80]!r} is not the name of one")
    return open_cluster(KubernetesSettings(namespace=namespace, context=context))


def selector_of(record: RunRecord) -> str:
    return selector(RunRef(record.run, record.uid))


def delete_until_none_appears(
    cluster: Any,
    record: RunRecord,
    at_least: float,
    patience: float = PATIENCE,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> int:
    """Delete the run's Jobs until two looks in a row, the last of them after `at_least` seconds, find none that is
    live. How many were deleted.

    Raises:
        LauncherError: after `patience` seconds somebody still makes new ones.
        ClusterError: the API refuses.
    """
    from metaqnn_orch.launchers.kubernetes.cluster import Resource

    begun, deleted, quiet = monotonic(), set[str](), 0
    while True:
        jobs = cluster.list(Resource.JOBS, selector_of(record)).items
        there = [job for job in jobs if "deletionTimestamp" not in job["metadata"]]
        for job in there:
            cluster.delete_job(job["metadata"]["name"], job["metadata"]["uid"])
            deleted.add(job["metadata"]["uid"])
        living = sorted(job["metadata"]["name"] for job in there if live(job))
        quiet, passed = 0 if living else quiet + 1, monotonic() - begun
        if quiet >= 2 and passed >= at_least:
            return len(deleted)
        if passed >= patience:
            raise LauncherError(
                f"{len(deleted)} Jobs of run {record.run} were deleted in namespace {cluster.namespace}, and somebody "
                f"goes on making new ones: {', '.join(living[:3]) or 'a moment ago'}",
                hint=f"metaqnn-orch status {record.run} names who works on the run: stop it there, then cancel again",
            )
        sleep(LOOK)


def _order(pod: Any) -> tuple[int, str]:
    attempt = label(pod, ATTEMPT)
    return int(attempt) if attempt.isdecimal() else 0, str(pod["metadata"].get("creationTimestamp", ""))
