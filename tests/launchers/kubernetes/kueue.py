"""What Kueue does to batch/v1 Jobs, without Kueue: the steps of its integration (kueue/pkg/controller/jobs/job), one by
one and by hand. The API server may be the double or a real one.

Its webhook creates Jobs suspended; here a Job template does (SUSPENDED).
"""

from __future__ import annotations

import json
import os
from typing import Any, Final

from kubernetes import client, config

from tests.launchers.harness import until

SUSPENDED: Final = {"spec": {"suspend": True}}
STOPPING: Final = "kueue.x-k8s.io/stopping"
FLAVOR: Final = {"kubernetes.io/os": "linux"}  # node labels of the flavor whose quota a Job gets


class Kueue:
    """One LocalQueue in one namespace, with places for so many Jobs."""

    def __init__(self, namespace: str, places: int) -> None:
        api = config.new_client_from_config(os.environ["KUBECONFIG"])
        self._batch = client.BatchV1Api(api)
        self._core = client.CoreV1Api(api)
        self._namespace = namespace
        self.places = places
        self._denied: set[str] = set()
        self._admitted: list[str] = []
        self._stopped = False

    def job(self, name: str) -> Any:
        return _read(self._batch.read_namespaced_job, name, self._namespace)

    def admit(self, name: str) -> None:
        """Quota is reserved: the Job gets the flavor's node labels, and is no longer suspended."""
        self._patch(name, {"spec": {"suspend": False, "template": {"spec": {"nodeSelector": FLAVOR}}}})
        self._admitted.append(name)

    def suspend(self, name: str) -> None:
        """The first step of an eviction: its Pods are asked to stop."""
        self._patch(name, {"metadata": {"annotations": {STOPPING: "true"}}, "spec": {"suspend": True}})
        self._admitted.remove(name)

    def restore(self, name: str) -> None:
        """The last steps, when no Pod is active any more: the Job has not started, and is as it was before it was
        admitted; it waits in its place. Servers before 1.35 let nobody change the Pods of a Job that has started.
        """
        until(lambda: self._is_idle(name))
        _read(self._batch.patch_namespaced_job_status, name, self._namespace, {"status": {"startTime": None}})
        pods = {"template": {"spec": {"nodeSelector": dict.fromkeys(FLAVOR)}}}
        body = {"metadata": {"annotations": {STOPPING: None}}, "spec": pods}
        self._patch(name, body)

    def evict(self, name: str) -> None:
        self.suspend(name)
        self.restore(name)

    def deny(self, name: str) -> None:
        """An admission check rejects it: it is evicted, and never admitted again."""
        self._denied.add(name)
        if name in self._admitted:
            self.evict(name)

    def stop(self) -> None:
        """HoldAndDrain: whatever runs is evicted, and nothing is admitted."""
        self._stopped = True
        for name in list(self._admitted):
            self.evict(name)

    def resume(self) -> None:
        self._stopped = False

    def reconcile(self, first: str = "") -> None:
        """Admit as many as there are places for, the oldest first. `first` preempts the youngest of them."""
        waiting = [name for name in self._waiting() if name not in (*self._admitted, *self._denied)]
        if first in waiting and len(self._admitted) == self.places:
            self.evict(self._admitted[-1])
        for name in sorted(waiting, key=lambda one: one != first):
            if len(self._admitted) < self.places and not self._stopped:
                self.admit(name)

    def _waiting(self) -> list[str]:
        found = _read(self._batch.list_namespaced_job, self._namespace)["items"]
        self._admitted = [name for name in self._admitted if any(job["metadata"]["name"] == name for job in found)]
        return [job["metadata"]["name"] for job in sorted(found, key=_since) if job["spec"].get("suspend")]

    def _is_idle(self, name: str) -> bool:
        """Whether the Job controller has said that the Job is suspended, and has no Pod that runs."""
        label = f"batch.kubernetes.io/job-name={name}"
        pods = _read(self._core.list_namespaced_pod, self._namespace, label_selector=label)["items"]
        phases = {pod["status"]["phase"] for pod in pods}
        return not self.job(name).get("status", {}).get("active") and not phases & {"Pending", "Running"}

    def _patch(self, name: str, body: dict[str, Any]) -> None:
        _read(self._batch.patch_namespaced_job, name, self._namespace, body)


def _read(call: Any, *arguments: Any, **options: Any) -> Any:
    """The answer as it is: the client's models refuse what the double leaves out."""
    return json.loads(call(*arguments, **options, _preload_content=False).data)


def _since(job: Any) -> tuple[str, str]:
    return job["metadata"].get("creationTimestamp", ""), job["metadata"]["name"]
