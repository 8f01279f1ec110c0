"""Has the cluster run a Job that is not a trial: it is created once, however often it is asked for, and perhaps waited
for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from metaqnn_orch.errors import BadInput, ClusterError
from metaqnn_orch.launchers.kubernetes.cluster import Cluster, Resource
from metaqnn_orch.launchers.kubernetes.errand import exit_code, in_words, latest
from metaqnn_orch.launchers.kubernetes.names import STORE, annotation, controller_of
from metaqnn_orch.launchers.kubernetes.status import is_ending, live

GONE_SECONDS: Final = 60.0  # seconds that the Job of an earlier session may take to disappear
LOOK: Final = 1.0  # seconds between two looks at a Job that is waited for
OUTAGE_SECONDS: Final = 300.0  # seconds without an answer of the API before the waiting ends


class JobEnd(NamedTuple):
    """How a Job's last Pod ended."""

    code: int | None
    """Exit code of its container; None where it is unknown."""
    log: str
    detail: str


def find(cluster: Cluster, name: str) -> dict[str, Any] | None:
    """The Job of that name; None if there is none."""
    try:
        return cluster.get_job(name)
    except ClusterError as error:
        if error.status != 404:
            raise
        return None


def _has_not_ended(pods: Sequence[Mapping[str, Any]]) -> bool:
    return exit_code(pods) is None


def create(
    cluster: Cluster,
    job: Mapping[str, Any],
    sleep: Callable[[float], None] = time.sleep,
    is_at_work: Callable[[Sequence[Mapping[str, Any]]], bool] = _has_not_ended,
    patience: float = GONE_SECONDS,
) -> bool:
    """Create the Job. Returns False if the Job exists and is at work. A Job of the same name that has ended is deleted
    first, and one that is about to end is waited for, at most `patience` seconds: then it is deleted, too. `is_at_work`
    is asked about the Pods of a Job of which the cluster has not said that it ends.

    Raises:
        BadInput: what is there is of another store.
        ClusterError: the API refuses.
    """
    name = job["metadata"]["name"]
    deadline = time.monotonic() + patience
    while True:
        try:
            cluster.create_job(job)
            return True
        except ClusterError as error:
            if error.status != 409:
                raise
        late = time.monotonic() > deadline
        there = find(cluster, name)
        if there is None:
            _refuse_to_wait(name, late)
            sleep(LOOK / 2)
            continue
        store = annotation(there, STORE)
        if store != job["metadata"]["annotations"][STORE]:
            raise BadInput(
                f"job {name} in namespace {cluster.namespace} belongs to {store or 'no store of ours'}; nothing was "
                "done",
                hint="give this search another name, or another release",
            )
        if there["metadata"].get("deletionTimestamp") or not live(there):
            _refuse_to_wait(name, late)
            cluster.delete_job(name, there["metadata"]["uid"])
        elif is_ending(there):
            if late:  # its Pod hangs, on a node that is gone, say
                cluster.delete_job(name, there["metadata"]["uid"])
        elif late or is_at_work(_pods(cluster, name)):
            return False
        sleep(LOOK / 2)


def left_alone(cluster: Cluster, job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The Pods of a Job of this name, and for the same store, which was deleted without them."""
    store = job["metadata"]["annotations"][STORE]
    pods = _pods(cluster, job["metadata"]["name"])
    return [pod for pod in pods if not controller_of(pod) and annotation(pod, STORE) == store]


def _refuse_to_wait(name: str, late: bool) -> None:
    if late:
        raise ClusterError(f"job {name} of an earlier session is not deleted", "kubectl describe job says why")


def wait(
    cluster: Cluster,
    name: str,
    container: str,
    report: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> JobEnd:
    """Wait for a Job's end, and report what it waits for; then delete it. If it disappears meanwhile, how it ended is
    unknown: whoever else waited for it may have deleted it after its end.

    Raises:
        ClusterError: the API refuses, or is away for long.
    """
    said, words, heard = "", "", time.monotonic()
    while True:
        try:
            job, pods = cluster.get_job(name), _pods(cluster, name)
            words = in_words(pods)
            if not live(job):
                log = cluster.read_log(latest(pods)["metadata"]["name"], container) if pods else ""
                with suppress(ClusterError):  # else the next Job of this name deletes it
                    cluster.delete_job(name, job["metadata"]["uid"])
                return JobEnd(exit_code(pods), log, words)
            heard = time.monotonic()
        except ClusterError as error:
            if (error.status, error.reason) == (404, "NotFound") and words:  # any other 404 is a proxy's
                return JobEnd(None, "", f"it is gone; before, {words}")
            if not error.transient or time.monotonic() - heard > OUTAGE_SECONDS:
                raise
            sleep(LOOK)
            continue
        if words != said:
            said = words
            report(f"job {name} in namespace {cluster.namespace}: {words}")
        sleep(LOOK)


def _pods(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    return cluster.list(Resource.PODS, f"batch.kubernetes.io/job-name={name}").items
