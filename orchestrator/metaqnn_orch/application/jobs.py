"""A run's Jobs, handled from outside of its search: reading their logs and ending them."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from metaqnn_orch.application.assembly import open_cluster
from metaqnn_orch.application.listener import Say
from metaqnn_orch.application.machine import until_gone
from metaqnn_orch.application.moment import now
from metaqnn_orch.control.holder import BEAT_SECONDS, this_process
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.takeover import take_over
from metaqnn_orch.errors import BadInput, LauncherError, NotFound
from metaqnn_orch.launchers.kubernetes.errand import ORCHESTRATOR, latest, search_job_name
from metaqnn_orch.launchers.kubernetes.names import (
    ATTEMPT,
    STORE,
    TRIAL,
    Identity,
    RunRef,
    annotation,
    controller_of,
    label,
    read_trials,
    selector,
)
from metaqnn_orch.launchers.kubernetes.status import has_ended, live
from metaqnn_orch.launchers.kubernetes.template import CONTAINER
from metaqnn_orch.next_command import next_command
from metaqnn_orch.settings.kubernetes import DNS_LABEL, KubernetesSettings
from metaqnn_trainer import __version__
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.store.base import Store

LOOK: Final = 1.0  # seconds between two looks at the Jobs
PATIENCE: Final = 30.0  # seconds until an orchestrator that lost the run must have stopped


def cluster_of(namespace: str | None, context: str | None) -> Any:
    if namespace is not None and not re.fullmatch(DNS_LABEL, namespace):
        raise BadInput(f"--namespace {namespace[:80]!r} is not a valid name of a namespace")
    return open_cluster(KubernetesSettings(namespace=namespace, context=context))


def _selector_of(record: RunRecord) -> str:
    return selector(RunRef(record.run, record.uid))


def stop(store: Store, record: RunRecord, cluster: Any, say: Say) -> bool:
    """Take the run from the orchestrator that works on it, and delete its Jobs in `cluster`, where there is one.
    Returns whether no orchestrator worked on it.

    Raises:
        LauncherError, ClusterError: as delete_until_none_appears says.
    """
    holder, idle = take_over(store, record, this_process(secrets.token_hex(8), now()), __version__)
    if holder is not None:
        say(f"run {record.run} was held by {holder.owner}, which now stops at its next step")
        if (gone := until_gone(holder)) is not None:
            say(f"{holder.owner} has ended" if gone else f"{holder.owner} still runs; kill {holder.pid} ends it")
    if cluster is not None:
        # The other orchestrator checks its hold that often; until then it would make new Jobs for those deleted here.
        count = delete_until_none_appears(cluster, record, store.uri, BEAT_SECONDS + 1 if holder is not None else 0.0)
        say(f"{amount(count, 'Job')} deleted in namespace {cluster.namespace}")
        left = orphans(cluster, record)
        for pod in left:
            cluster.delete_pod(pod["metadata"]["name"], pod["metadata"]["uid"])
        if left:
            say(f"and {_counted(len(left))} whose Job was deleted without them")
    return idle


def _counted(pods: int) -> str:
    return f"{pods} Pod{'s' if pods != 1 else ''}"


def said_by(cluster: Any, store: Store, record: RunRecord, trial: str, tail: int | None) -> list[str]:
    """The log of a trial's trainer: of the latest attempt, the last `tail` lines. Of a Pod with several trials it is
    the lines about this one; none while it has not begun.

    Raises:
        NotFound: no Pod of it is there.
        ClusterError: the API refuses.
    """
    from metaqnn_orch.launchers.kubernetes.cluster import Resource

    pods = cluster.list(Resource.PODS, _selector_of(record)).items
    found = sorted(
        ((one.attempt, str(pod["metadata"].get("creationTimestamp", "")), pod["metadata"]["name"]), alone)
        for pod in pods
        for one, alone in _trials_of(pod, record)
        if one.trial == trial
    )
    if not found:
        raise NotFound(
            f"no Pod of trial {trial} of run {record.run} in namespace {cluster.namespace}",
            hint=f"to see how it ended: {next_command(f'trials {record.run}', store.uri)}",
        )
    (_, _, pod), alone = found[-1]
    log: str = cluster.read_log(pod, CONTAINER, tail if alone else None)
    lines = log.splitlines() if alone else lines_of(log, trial)
    return lines[-tail:] if tail is not None else lines


def said_by_search(cluster: Any, store: Store, run: str, tail: int | None) -> list[str]:
    """The log of the search itself, of its latest Pod, where it was submitted: the last `tail` lines.

    Raises:
        NotFound: it has no Pod.
        ClusterError: the API refuses.
    """
    from metaqnn_orch.launchers.kubernetes.cluster import Resource

    name = search_job_name(run)
    pods = cluster.list(Resource.PODS, f"batch.kubernetes.io/job-name={name}").items
    if not pods:
        raise NotFound(
            f"no Pod of a submitted search of run {run} in namespace {cluster.namespace}",
            hint=f"{next_command(f'status {run}', store.uri)} says how the run stands; with an id, logs prints that "
            "trial's log",
        )
    log: str = cluster.read_log(latest(pods)["metadata"]["name"], ORCHESTRATOR, tail)
    return log.splitlines()


def lines_of(log: str, trial: str) -> list[str]:
    """The lines of a trainer's log that are about one trial of several: those that begin with its name, and those
    behind them that name none.
    """
    kept, ours = [], False
    for line in log.splitlines():
        if named := re.match(r"trial ([0-9a-f]{12})[:,]", line):
            ours = named[1] == trial
        if ours:
            kept.append(line)
    return kept


def _trials_of(pod: Any, record: RunRecord) -> list[tuple[Identity, bool]]:
    """The trials of a Pod, and whether it has only one."""
    run = RunRef(record.run, record.uid)
    if trials := read_trials(pod, run):
        return [(one, False) for one in trials]
    attempt = label(pod, ATTEMPT)
    return [(Identity(run, label(pod, TRIAL), int(attempt) if attempt.isdecimal() else 0), True)]


def orphans(cluster: Any, record: RunRecord) -> list[Any]:
    """The Pods of the run's trials whose Job was deleted without them."""
    from metaqnn_orch.launchers.kubernetes.cluster import Resource

    return [pod for pod in cluster.list(Resource.PODS, _selector_of(record)).items if not controller_of(pod)]


def ended_orphans(cluster: Any, record: RunRecord) -> list[Any]:
    """The Pods of the run's trials that have ended, and whose Job was deleted without them."""
    return [pod for pod in orphans(cluster, record) if has_ended(pod)]


def ended(cluster: Any, record: RunRecord, store: str) -> Iterator[Any]:
    """The Jobs that have ended: those of trials, and that of a search which was submitted for this store."""
    from metaqnn_orch.launchers.kubernetes.cluster import Resource

    yield from (job for job in cluster.list(Resource.JOBS, _selector_of(record)).items if not live(job))
    search = _submitted(cluster, record.run, store)
    if search is not None and not live(search):
        yield search


def live_jobs(cluster: Any, record: RunRecord, store: str) -> list[str]:
    """The names of the Jobs that have not ended: those of trials, and that of a search which was submitted."""
    from metaqnn_orch.launchers.kubernetes.cluster import Resource

    jobs = [job for job in cluster.list(Resource.JOBS, _selector_of(record)).items if live(job)]
    search = _submitted(cluster, record.run, store)
    jobs += [search] if search is not None and live(search) else []
    return [str(job["metadata"]["name"]) for job in jobs]


def end_submitted(cluster: Any, run: str, store: str, say: Say) -> bool:
    """Delete the Job of a search that was submitted for this store, so that no Pod of it begins later. Returns whether
    there was one that had not ended.
    """
    search = _submitted(cluster, run, store)
    if search is None or not live(search):
        return False
    name = search["metadata"]["name"]
    cluster.delete_job(name, search["metadata"]["uid"])
    say(f"job {name} of the submitted search deleted in namespace {cluster.namespace}")
    return True


def _submitted(cluster: Any, run: str, store: str) -> Any:
    from metaqnn_orch.launchers.kubernetes.runner import find

    search = find(cluster, search_job_name(run))
    return search if search is not None and annotation(search, STORE).rstrip("/") == store else None


def delete_until_none_appears(
    cluster: Any,
    record: RunRecord,
    store: str,
    at_least: float,
    patience: float = PATIENCE,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> int:
    """Delete the run's Jobs until two looks in a row find no live one, the second of them after `at_least` seconds.
    Returns how many were deleted.

    Raises:
        LauncherError: after `patience` seconds somebody still makes new ones.
        ClusterError: the API refuses.
    """
    from metaqnn_orch.launchers.kubernetes.cluster import Resource

    begun, deleted, quiet = monotonic(), set[str](), 0
    while True:
        jobs = cluster.list(Resource.JOBS, _selector_of(record)).items
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
                f"{len(deleted)} Jobs of run {record.run} were deleted in namespace {cluster.namespace}, but "
                f"somebody still creates new ones: {', '.join(living[:3]) or 'a moment ago'}",
                hint=f"see with {next_command(f'status {record.run}', store)} who works on the run; stop it there, "
                "then cancel again",
            )
        sleep(LOOK)
