"""Jobs in a queue: admitted, evicted, preempted, denied, stopped. None of it costs an attempt, or the place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metaqnn_orch.errors import BadInput
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.kubernetes.launcher import KubernetesLauncher
from metaqnn_orch.launchers.kubernetes.manifest import JobForm
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_trainer.contract.messages import TrainingRequest
from tests.launchers.harness import until, until_phase
from tests.launchers.kubernetes.conftest import NAMESPACE, FakeCluster
from tests.launchers.kubernetes.kueue import Kueue


@pytest.fixture
def queue(cluster: FakeCluster) -> Kueue:
    def webhook(resource: str, thing: dict[str, object]) -> None:
        spec = thing.get("spec")
        if resource == "jobs" and isinstance(spec, dict):
            spec["suspend"] = True

    cluster.api.admission = webhook
    return Kueue(NAMESPACE, 1)


def name_of(request: TrainingRequest, attempt: int = 1) -> str:
    return f"suite-{request.trial}-{attempt}"


def running(launcher: KubernetesLauncher, cluster: FakeCluster, request: TrainingRequest, starts: int) -> None:
    assert until_phase(launcher, request, Phase.RUNNING).attempt == 1
    until(lambda: cluster.started().count(f"{request.trial} 1") == starts)


def waits(launcher: KubernetesLauncher, request: TrainingRequest) -> Callable[[], bool]:
    def told() -> bool:
        seen = launcher.observe()[request.trial]
        assert seen.attempt == 1
        assert seen.phase in (Phase.PENDING, Phase.RUNNING)
        return seen.phase is Phase.PENDING and "suspended" in seen.detail

    return told


def test_an_evicted_trainer_keeps_its_place_and_its_attempt(cluster: FakeCluster, queue: Kueue) -> None:
    request, launcher = cluster.request("hangs"), cluster.launcher(queue="trials")
    launcher.launch(request, 1)
    until(waits(launcher, request))
    queue.reconcile()
    running(launcher, cluster, request, 1)
    uid = queue.job(name_of(request))["metadata"]["uid"]
    for starts in range(2, 8):  # more often than any backoff limit
        queue.evict(name_of(request))
        until(waits(launcher, request))
        queue.reconcile()
        running(launcher, cluster, request, starts)
    assert queue.job(name_of(request))["metadata"]["uid"] == uid
    assert launcher.trouble == ""


def test_the_preempted_goes_on_when_the_other_is_done(cluster: FakeCluster, queue: Kueue) -> None:
    low, high = cluster.request("hangs"), cluster.request("hangs")
    launcher = cluster.launcher(queue="trials", queue_priority="low")
    launcher.launch(low, 1)
    until(waits(launcher, low))
    queue.reconcile()
    running(launcher, cluster, low, 1)
    launcher.launch(high, 1)
    until(waits(launcher, high))
    queue.reconcile(first=name_of(high))
    running(launcher, cluster, high, 1)
    until(waits(launcher, low))
    launcher.cancel(high.trial)
    until(lambda: len(cluster.jobs()) == 1)
    queue.reconcile()
    running(launcher, cluster, low, 2)


def test_a_stopped_queue_and_a_denied_job(cluster: FakeCluster, queue: Kueue) -> None:
    queue.places = 2
    one, other = cluster.request("hangs"), cluster.request("hangs")
    launcher = cluster.launcher(queue="trials")
    for request in (one, other):
        launcher.launch(request, 1)
        until(waits(launcher, request))
    queue.reconcile()
    for request in (one, other):
        running(launcher, cluster, request, 1)
    queue.stop()
    queue.reconcile()
    for request in (one, other):
        until(waits(launcher, request))
    queue.deny(name_of(other))
    queue.resume()
    queue.reconcile()
    running(launcher, cluster, one, 2)
    until(waits(launcher, other))
    assert len(cluster.jobs()) == 2, "a denied Job waits for a person, and nobody is charged"


def test_labels_of_the_queue(cluster: FakeCluster, queue: Kueue) -> None:
    request = cluster.request("hangs")
    launcher = cluster.launcher(queue="trials", queue_priority="high", managed_by="kueue.x-k8s.io/multikueue")
    launcher.launch(request, 1)
    until(lambda: len(cluster.jobs()) == 1)
    job = queue.job(name_of(request))
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "trials"
    assert job["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "high"
    assert job["spec"]["managedBy"] == "kueue.x-k8s.io/multikueue"


def test_a_priority_needs_a_queue() -> None:
    with pytest.raises(BadInput, match="no queue"):
        JobForm("s3://b", KubernetesSettings(image="trainer", queue_priority="high"))
    template = {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "a"}}}
    form = JobForm("s3://b", KubernetesSettings(image="trainer", queue_priority="high", queue="b"), template)
    assert [str(one) for one in form.overruled] == [
        "metadata.labels.kueue.x-k8s.io/queue-name is ignored: execution.kubernetes.queue decides it"
    ]
