"""Jobs that were deleted without their Pods, and Pods that outlive the Job that was deleted with them: a trial never
has two trainers at a time.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from metaqnn_orch.launchers.base import Launcher, Phase
from metaqnn_orch.launchers.kubernetes.carriers import HANGING, OVERDUE, Carriers
from metaqnn_orch.launchers.kubernetes.cluster import Cluster
from metaqnn_orch.launchers.kubernetes.credentials import connect
from metaqnn_orch.launchers.kubernetes.launcher import KubernetesLauncher
from metaqnn_orch.launchers.kubernetes.names import Carried, Identity, selector
from metaqnn_trainer.contract.messages import TrainingRequest
from tests.launchers.harness import ENDED, until, until_ended, until_phase
from tests.launchers.kubernetes.conftest import NAMESPACE, RUN, FakeCluster
from tests.launchers.kubernetes.test_launcher import at_work
from tests.launchers.kubernetes.test_several import bundling, launched, starts, until_started


def orphan(cluster: FakeCluster) -> dict[str, Any]:
    """Delete the only Job without its Pod. Returns the Pod."""
    (job,) = cluster.jobs()
    cluster.api.delete("jobs", NAMESPACE, job["metadata"]["name"], {"propagationPolicy": "Orphan"})
    (pod,) = cluster.pods()
    assert "ownerReferences" not in pod["metadata"]
    return pod


def working(cluster: FakeCluster, fate: str) -> tuple[KubernetesLauncher, TrainingRequest]:
    """A launcher, and a trial that its trainer has begun."""
    launcher, request = cluster.launcher(), cluster.request(fate)
    launcher.launch(request, 1)
    at_work(cluster, launcher, request)
    return launcher, request


def follow(launcher: Launcher, request: TrainingRequest, seconds: float) -> None:
    """Do for a while as the loop does: what nobody knows is launched again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if request.trial not in launcher.observe():
            launcher.launch(request, 1)
        time.sleep(0.005)


def test_its_trainer_goes_on_and_is_seen_to_its_end(cluster: FakeCluster) -> None:
    launcher, request = working(cluster, "works-1500")
    orphan(cluster)
    assert until_ended(launcher, request).phase is Phase.DELIVERED
    assert cluster.started() == [f"{request.trial} 1"]
    launcher.cancel(request.trial)
    assert request.trial not in launcher.observe()
    until(lambda: cluster.pods() == [])


def test_its_end_is_counted_like_any_other(cluster: FakeCluster) -> None:
    launcher, request = working(cluster, "hangs")
    cluster.controllers.kill(orphan(cluster))
    seen = until_phase(launcher, request, *ENDED)
    assert (seen.phase, seen.attempt) == (Phase.CRASHED, 1)
    launcher.launch(request, 2)
    until(lambda: len(cluster.started()) == 2)
    launcher.cancel(request.trial)
    until(lambda: cluster.pods() == [])


def test_an_orchestrator_that_was_away_meanwhile_finds_it(cluster: FakeCluster) -> None:
    one = cluster.launcher()
    request = cluster.request("works-2000")
    one.launch(request, 1)
    at_work(cluster, one, request)
    one.close()
    orphan(cluster)
    two = cluster.launcher()
    two.launch(request, 1)
    assert two.observe()[request.trial].phase is Phase.RUNNING
    assert until_ended(two, request).phase is Phase.DELIVERED
    assert cluster.started() == [f"{request.trial} 1"]
    assert cluster.jobs() == []


def test_cancelling_its_trial_ends_it(cluster: FakeCluster) -> None:
    launcher, _ = working(cluster, "hangs")
    orphan(cluster)

    def cancelled() -> bool:  # the loop cancels whatever it sees and has no use for
        for trial in launcher.observe():
            launcher.cancel(trial)
        return cluster.pods() == []

    until(cancelled)
    assert launcher.observe() == {}


def test_without_the_right_to_end_it_nothing_is_started_beside_it(cluster: FakeCluster) -> None:
    cluster.api.denied.add(("delete", "pods"))
    launcher, request = working(cluster, "hangs")
    pod = orphan(cluster)

    def cancelled() -> bool:
        launcher.cancel(request.trial)
        return cluster.api.asks("delete", "pods") > 0

    until(cancelled)
    launcher.launch(request, 1)
    until(lambda: "waits until pod" in launcher.observe()[request.trial].detail)
    follow(launcher, request, 0.5)
    assert launcher.trouble == ""
    assert cluster.started() == [f"{request.trial} 1"]
    cluster.controllers.kill(pod)
    until(lambda: len(cluster.started()) == 2)


def test_one_that_never_began_makes_room_for_a_job(cluster: FakeCluster) -> None:
    launcher = cluster.launcher(image="not-there-yet")
    request = cluster.request("delivers")
    launcher.launch(request, 1)
    until(lambda: launcher.trouble != "" or not launcher.observe())
    pod = orphan(cluster)

    def is_gone() -> bool:
        launcher.observe()
        return pod["metadata"]["uid"] not in [other["metadata"]["uid"] for other in cluster.pods()]

    until(is_gone)
    cluster.controllers.images["not-there-yet"] = cluster.controllers.images["trainer"]
    assert until_ended(launcher, request).phase is Phase.DELIVERED
    assert cluster.started() == [f"{request.trial} 1"]


def test_it_keeps_its_place(cluster: FakeCluster) -> None:
    launcher = cluster.launcher(parallel=1)
    first, second = cluster.request("hangs"), cluster.request("delivers")
    launcher.launch(first, 1)
    at_work(cluster, launcher, first)
    pod = orphan(cluster)
    launcher.launch(second, 1)
    follow(launcher, first, 0.5)
    assert cluster.started() == [f"{first.trial} 1"]
    cluster.controllers.kill(pod)
    until_phase(launcher, first, *ENDED)
    assert until_ended(launcher, second).phase is Phase.DELIVERED


def test_what_ran_when_a_job_was_deleted_with_it_ends_before_another_begins(cluster: FakeCluster) -> None:
    """kubectl delete job: the Pod needs its grace period."""
    launcher, request = working(cluster, "hangs")
    (job,), (pod,) = cluster.jobs(), cluster.pods()
    cluster.api.objects.remove("jobs", NAMESPACE, job["metadata"]["name"])
    follow(launcher, request, 0.5)
    assert cluster.started() == [f"{request.trial} 1"]
    cluster.api.delete("pods", NAMESPACE, pod["metadata"]["name"], {})
    follow(launcher, request, 0.5)
    assert cluster.started() == [f"{request.trial} 1"] * 2


def test_a_job_that_was_made_before_the_orphan_was_seen_is_taken_back(cluster: FakeCluster) -> None:
    """Two copies are watched separately, and one may be behind: the trainer that began first stays."""
    launcher, request = working(cluster, "works-2500")
    (job,) = cluster.jobs()
    orphan(cluster)
    again = {key: job[key] for key in ("spec",)} | {
        "metadata": {key: job["metadata"][key] for key in ("name", "labels", "annotations")}
    }
    cluster.api.create("jobs", NAMESPACE, again)
    assert until_ended(launcher, request).phase is Phase.DELIVERED
    until(lambda: cluster.jobs() == [])
    launcher.cancel(request.trial)
    until(lambda: cluster.pods() == [])


def test_a_bundle_goes_on_without_its_job(cluster: FakeCluster) -> None:
    launcher = bundling(cluster)
    one, two, three, four = requests = launched(cluster, launcher, "delivers", "works-1500", "delivers", "exits-139")
    until_started(cluster, one, two)
    orphan(cluster)
    for request in (one, two, three):
        assert until_phase(launcher, request, Phase.DELIVERED).attempt == 1
    seen = until_phase(launcher, four, *ENDED)
    assert (seen.phase, seen.attempt) == (Phase.CRASHED, 1)
    assert cluster.started() == starts(*requests)
    for request in requests:
        launcher.cancel(request.trial)
    until(lambda: cluster.pods() == [] and launcher.observe() == {})


def test_a_bundle_is_found_by_an_orchestrator_that_bundles_otherwise(cluster: FakeCluster) -> None:
    one = bundling(cluster)
    requests = launched(cluster, one, "delivers", "works-2000", "delivers", "delivers")
    until_started(cluster, *requests[:2])
    one.close()
    orphan(cluster)
    two = cluster.launcher(parallel=4)
    for request in requests[1:]:
        two.launch(request, 1)
    for request in requests:
        assert until_ended(two, request).phase is Phase.DELIVERED
    assert cluster.started() == starts(*requests)


def be_ending(cluster: FakeCluster, pod: dict[str, Any]) -> None:
    """From now on the Pod is being deleted, and stays as it is."""

    def change(it: dict[str, Any]) -> None:
        it["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30}
        it["status"] = pod["status"]

    cluster.api.objects.update("pods", NAMESPACE, pod["metadata"]["name"], change)


@pytest.mark.parametrize("orphaned", [True, False], ids=["orphan", "of a deleted Job"])
def test_a_pod_whose_node_is_away_is_not_waited_for_for_ever(cluster: FakeCluster, orphaned: bool) -> None:
    """Nobody can end it; its node does, when it is back. Results of two trainers of a trial do not mix."""
    launcher, request = working(cluster, "hangs")
    launcher.close()
    (job,), (pod,) = cluster.jobs(), cluster.pods()
    cluster.controllers.close()  # the node's kubelet, too: nobody says any more how its Pods are
    time.sleep(0.1)
    if orphaned:
        orphan(cluster)
    else:
        cluster.api.objects.remove("jobs", NAMESPACE, job["metadata"]["name"])

    be_ending(cluster, pod)
    clock = [0.0]
    carriers = Carriers(Cluster(connect), selector(RUN), lambda: None, lambda: clock[0])
    carriers.start()
    carried = Carried((Identity(RUN, request.trial, 1),))
    assert carriers.obstacle(carried) == pod["metadata"]["name"]
    assert carriers.live() == 1, "it keeps its place"
    clock[0] = 30 + OVERDUE + 1
    assert carriers.obstacle(carried) == ""
    assert carriers.live() == 0
    carriers.close()
    carriers.join(5.0)


@pytest.mark.parametrize("kind", ["pod", "job"])
def test_what_hangs_in_its_deletion_is_told_after_some_minutes(cluster: FakeCluster, kind: str) -> None:
    launcher, _ = working(cluster, "hangs")
    launcher.close()
    (job,), (pod,) = cluster.jobs(), cluster.pods()
    cluster.controllers.close()
    time.sleep(0.1)
    be_ending(cluster, pod)
    clock, grace = [0.0], 30.0
    if kind == "job":  # one that waits for its Pod is none of its own

        def hang(it: dict[str, Any]) -> None:
            it["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.com/hang"]}

        cluster.api.objects.update("jobs", NAMESPACE, job["metadata"]["name"], hang)
        cluster.api.objects.remove("pods", NAMESPACE, pod["metadata"]["name"])
        grace = 0.0
    carriers = Carriers(Cluster(connect), selector(RUN), lambda: None, lambda: clock[0])
    carriers.start()
    carriers.all()
    clock[0] = grace + HANGING
    carriers.all()
    assert carriers.hanging == ""
    clock[0] += 1
    carriers.all()
    name = (pod if kind == "pod" else job)["metadata"]["name"]
    assert f"kubectl describe {kind} {name} --namespace {NAMESPACE}" in carriers.hanging
    assert ("on node " in carriers.hanging) is (kind == "pod")
    cluster.api.objects.remove("pods" if kind == "pod" else "jobs", NAMESPACE, name)
    until(lambda: carriers.all() is None or carriers.hanging == "")
    carriers.close()
    carriers.join(5.0)
