"""doctor's part about Kueue: whether the Jobs' queue admits any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from metaqnn_orch.application.doctor.diagnosis import Diagnosis, Mark, looked_up
from metaqnn_orch.errors import one_line
from metaqnn_orch.launchers.kubernetes.manifest import PRIORITY, QUEUE

KUEUE: Final = "kueue.x-k8s.io"

_NO_KUEUE: Final = (
    "install Kueue, or leave out execution.kubernetes.queue and the label kueue.x-k8s.io/queue-name of"
    " execution.kubernetes.template"
)
_ADMINISTRATOR: Final = "ask the administrator of the queues"
_STOPPED: Final = {
    "Hold": "it is stopped: no Job begins",
    "HoldAndDrain": "it is stopped: no Job begins, and running ones are suspended",
}


def examine_queue(cluster: Any, job: Mapping[str, Any]) -> Iterator[Diagnosis]:
    """The LocalQueue, its ClusterQueue and the priority class that the Job's labels name. Nothing where they name
    none.
    """
    labels = job["metadata"]["labels"]
    queue, priority = labels.get(QUEUE), labels.get(PRIORITY)
    if not queue:
        return
    what, behind = f"queue {queue}", ""

    def local(found: Mapping[str, Any]) -> str | Diagnosis:
        nonlocal behind
        behind = str((found.get("spec") or {}).get("clusterQueue") or "")
        return _judged(what, found, f"ClusterQueue {behind}, " if behind else "")

    yield looked_up(
        what,
        lambda: cluster.look_up_in(KUEUE, "localqueues", queue),
        local,
        f"name a LocalQueue of namespace {cluster.namespace} in execution.kubernetes.queue",
        _NO_KUEUE,
    )
    if behind:
        cluster_queue = f"queue {queue}: ClusterQueue {behind}"
        yield looked_up(
            cluster_queue,
            lambda: cluster.look_up_in(KUEUE, "clusterqueues", behind, everywhere=True),
            lambda found: _judged(cluster_queue, found),
            _ADMINISTRATOR,
        )
        if priority:
            yield looked_up(
                f"queue {queue}: priority class {priority}",
                lambda: cluster.look_up_in(KUEUE, "workloadpriorityclasses", priority, everywhere=True),
                lambda found: f"value {found.get('value')}",
                "name a WorkloadPriorityClass of the cluster in execution.kubernetes.queue_priority",
            )


def _judged(what: str, found: Mapping[str, Any], prefix: str = "") -> str | Diagnosis:
    """A diagnosis about a LocalQueue or a ClusterQueue, in its own words."""
    status = found.get("status") or {}
    stopped = _STOPPED.get(str((found.get("spec") or {}).get("stopPolicy") or ""))
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Active" and condition.get("status") != "True":
            reason, said = str(condition.get("reason") or ""), one_line(str(condition.get("message") or ""))
            why = ": ".join(filter(None, (reason, said)))
            return Diagnosis(what, Mark.BAD, f"{prefix}not active: {why}", _ADMINISTRATOR)
    if stopped:
        return Diagnosis(what, Mark.BAD, prefix + stopped, _ADMINISTRATOR)
    pending, admitted = status.get("pendingWorkloads") or 0, status.get("admittedWorkloads") or 0
    return f"{prefix}{pending} wait, {admitted} are admitted"
