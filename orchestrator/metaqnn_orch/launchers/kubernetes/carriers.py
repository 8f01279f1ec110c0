"""What carries the trials of a run in the cluster: its Jobs, and the Pods whose Job is gone.

A Job that was deleted without its Pods (`kubectl delete job --cascade=orphan`) leaves a trainer that goes on. Such a
Pod takes the place of its Job: it is observed, waited for and deleted as its Job would be. The Pods of a Job that was
deleted with them need a moment to end. As long as either of them runs, no other Job gets its trials, so that a trial
never has two trainers at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from threading import Lock
from typing import Any, Final

from metaqnn_orch.launchers.kubernetes.cluster import Cluster, Resource
from metaqnn_orch.launchers.kubernetes.names import Carried
from metaqnn_orch.launchers.kubernetes.reflector import Reflector, SeenJob, SeenPod, see_job, see_pod
from metaqnn_orch.launchers.kubernetes.status import has_ended, node_of

OVERDUE: Final = 60.0
"""Seconds after the end of its grace period from which on nobody waits for a Pod: its node is away."""
HANGING: Final = 180.0
"""The same, from which on it is trouble that a Pod or a Job that is being deleted is still there."""

_KEPT: Final = ("name", "uid", "labels", "annotations", "creationTimestamp")

Object = dict[str, Any]


class Carriers:
    """The Jobs and Pods of one run. Safe to use from many threads."""

    def __init__(
        self, cluster: Cluster, labels: str, on_change: Callable[[], None], monotonic: Callable[[], float]
    ) -> None:
        """`labels` select those of the run."""
        self.jobs = Reflector(cluster, Resource.JOBS, labels, see_job, on_change)
        self._pods = Reflector(cluster, Resource.PODS, labels, see_pod, on_change)
        self._cluster = cluster
        self._monotonic = monotonic
        self._lock = Lock()  # guards everything below
        self._ending: dict[str, float] = {}  # since when Pods and Jobs are being ended, by uid
        self._hanging = ""

    @property
    def trouble(self) -> str:
        """Why what is known is not up to date; empty when it is."""
        return self.jobs.trouble or self._pods.trouble or self._cluster.silence

    @property
    def hanging(self) -> str:
        """What should have been gone for some minutes at the last look, and what to do; empty where all is."""
        return self._hanging

    def start(self) -> None:
        """Look, and go on looking.

        Raises:
            ClusterError: the first look failed; it may be called again.
        """
        self.jobs.start()
        self._pods.start()

    def close(self) -> None:
        self.jobs.close()
        self._pods.close()

    def join(self, seconds: float) -> None:
        self.jobs.join(seconds)
        self._pods.join(seconds)

    def all(self) -> list[SeenJob]:
        """The Jobs, and what stands for those that are gone. It is asked for at every look at the trials."""
        self._look()
        return [*self.jobs.objects(), *self._stand_ins(self._pods.objects())]

    def of(self, trial: str) -> list[SeenJob]:
        """The Jobs of a trial, and what stands for those that are gone."""
        return [*self.jobs.group(trial), *self._stand_ins(self._pods.group(trial))]

    def pods(self, uid: str) -> list[Object]:
        """The Pods of a Job, by its uid; of what stands for a Job, the Pod itself."""
        return [pod.object for pod in self._pods.group(uid)]

    def nodes(self, uid: str) -> set[str]:
        """The nodes of these Pods."""
        return {node for pod in self.pods(uid) if (node := node_of(pod))}

    def live(self) -> int:
        """How many Jobs may have a Pod now or later, and how many Pods run whose Job is gone."""
        jobs = self.jobs.objects()
        known = {job.uid for job in jobs}
        return sum(job.live for job in jobs) + sum(self._is_left(pod, known) for pod in self._pods.objects())

    def obstacle(self, carried: Carried) -> str:
        """The Pod that has to end before there may be a Job of these trials; empty where there is none."""
        for one in carried.trials:
            known = {job.uid for job in self.jobs.group(one.trial)}
            for pod in self._pods.group(one.trial):
                # The Pod of a bundle may be at another of its trials.
                same = one in pod.carried.trials or not pod.carried.bundle
                if same and self._is_left(pod, known):
                    return str(pod.object["metadata"]["name"])
        return ""

    def _look(self) -> None:
        """Take note of what is being deleted, and forget what has gone."""
        pods = [("pod", pod.object) for pod in self._pods.objects() if is_leaving(pod.object)]
        # A Job may wait for its Pods, which then are the cause.
        jobs = [job for job in self.jobs.objects() if is_leaving(job.object)]
        leaving = [*pods, *(("job", job.object) for job in jobs if not self._pods.group(job.uid))]
        late = [(kind, thing) for kind, thing in leaving if self._overdue(thing) > HANGING]
        there = {str(thing["metadata"]["uid"]) for _, thing in leaving}
        with self._lock:
            self._ending = {uid: since for uid, since in self._ending.items() if uid in there}
        self._hanging = self._told_of(*late[0]) if late else ""

    def _stand_ins(self, pods: Iterable[SeenPod]) -> list[SeenJob]:
        return [stand_in(pod) for pod in pods if pod.is_orphan and not self._is_gone(pod)]

    def _is_left(self, pod: SeenPod, known: Collection[str]) -> bool:
        """Whether the Pod has not ended, but its Job is none of the `known` ones."""
        return pod.controller not in known and not has_ended(pod.object) and not self._is_gone(pod)

    def _is_gone(self, pod: SeenPod) -> bool:
        """Whether the Pod should have ended long ago: then its node is away, and only the node can tell more."""
        return is_leaving(pod.object) and self._overdue(pod.object) > OVERDUE

    def _told_of(self, kind: str, thing: Object) -> str:
        name, node = thing["metadata"]["name"], node_of(thing)
        where = f" on node {node}" if node else ""
        return (
            f"{kind} {name}{where} is being deleted, and is still there minutes after it should have gone (kubectl "
            f"describe {kind} {name} --namespace {self._cluster.namespace} says what holds it: finalizers, a node that "
            "does not answer, a volume)"
        )

    def _overdue(self, thing: Object) -> float:
        """Seconds since the end of the grace period of what is being deleted; negative before. This machine's clock
        counts, from the moment when the deletion was first seen.
        """
        grace, now = thing["metadata"].get("deletionGracePeriodSeconds"), self._monotonic()
        with self._lock:
            since = self._ending.setdefault(str(thing["metadata"]["uid"]), now)
        return now - since - (grace if isinstance(grace, int) else 0)


def is_leaving(thing: Object) -> bool:
    """Whether a Job or a Pod is being deleted."""
    return bool(thing["metadata"].get("deletionTimestamp"))


def stand_in(pod: SeenPod) -> SeenJob:
    """What stands for the Job of a Pod whose Job is gone: its state is the Pod's."""
    metadata = pod.object["metadata"]
    kept = {key: metadata[key] for key in _KEPT if key in metadata}
    has_failed = (pod.object.get("status") or {}).get("phase") == "Failed"
    failed = [{"type": "Failed", "status": "True", "reason": "PodFailed"}] if has_failed else []
    thing = {"kind": "Pod", "metadata": kept, "spec": {}, "status": {"conditions": failed}}
    return SeenJob(thing, pod.uid, pod.carried, live=not has_ended(pod.object))
