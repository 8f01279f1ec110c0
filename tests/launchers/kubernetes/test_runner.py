"""Jobs that are no trials, while the API or something on the way to it answers oddly."""

from __future__ import annotations

from typing import Any

import pytest

from metaqnn_orch.errors import BadInput, ClusterError
from metaqnn_orch.launchers.kubernetes import runner
from metaqnn_orch.launchers.kubernetes.cluster import Cluster
from metaqnn_orch.launchers.kubernetes.credentials import connect
from metaqnn_orch.launchers.kubernetes.names import STORE
from tests.launchers.kubernetes.conftest import NAMESPACE, FakeCluster
from tests.launchers.kubernetes.double.api import Ask, Fault

JOB = {
    "kind": "Job",
    "metadata": {"name": "make-it", "annotations": {STORE: "s3://bucket"}},
    "spec": {"template": {"metadata": {}, "spec": {"containers": [{"name": "trainer", "image": "trainer"}]}}},
}
ODD = {
    "away": Fault(status=503),
    "cut": Fault(reset=True),
    "nonsense": Fault(status=200, body=b"<html>log in</html>"),
    "null": Fault(status=200, body=b"null"),
    "not found, says a proxy": Fault(status=404, body=b"<html>no backend</html>"),
}


@pytest.fixture
def client(cluster: FakeCluster) -> Cluster:
    cluster.controllers.close()
    return Cluster(connect)


def end(cluster: FakeCluster) -> None:
    failed = {"conditions": [{"type": "Failed", "status": "True"}]}
    cluster.api.objects.update("jobs", NAMESPACE, "make-it", lambda job: job.update(status=failed))


@pytest.mark.parametrize("fault", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("verb", ["get", "list", "delete"])
def test_waiting_goes_on_whatever_is_answered(cluster: FakeCluster, client: Cluster, verb: str, fault: Fault) -> None:
    assert runner.create(client, JOB)
    rounds = iter(range(1000))

    def sleep(seconds: float) -> None:
        if next(rounds) == 4:
            cluster.api.faults = lambda ask: fault if (ask.verb, verb) == ("delete", "delete") else Fault()
            end(cluster)

    cluster.api.faults = lambda ask: fault if ask.verb == verb else Fault()
    assert runner.wait(client, "make-it", "trainer", lambda text: None, sleep).detail == "it has no Pod"
    assert len(cluster.jobs()) == (verb == "delete"), "what could not be deleted makes way for the next"
    cluster.api.faults = lambda ask: Fault()
    assert runner.create(client, JOB, lambda seconds: None)


def test_a_job_that_another_who_waited_for_it_cleared_up_has_ended(cluster: FakeCluster, client: Cluster) -> None:
    assert runner.create(client, JOB)
    rounds = iter(range(1000))

    def sleep(seconds: float) -> None:
        match next(rounds):
            case 1:  # a proxy's page is no proof
                cluster.api.faults = lambda ask: ODD["not found, says a proxy"]
            case 4:
                cluster.api.faults = lambda ask: Fault()
                cluster.api.objects.remove("jobs", NAMESPACE, "make-it")

    ended = runner.wait(client, "make-it", "trainer", lambda text: None, sleep)
    assert ended == (None, "", "it is gone; before, it has no Pod")
    assert next(rounds) == 5


def test_what_does_not_go_away_is_waited_for_once(cluster: FakeCluster, client: Cluster) -> None:
    """As when it is there for who creates, and not for who looks."""
    taken = b'{"kind": "Status", "reason": "AlreadyExists", "message": "jobs make-it already exists"}'
    slept: list[float] = []

    def fault(ask: Ask) -> Fault:
        return Fault(status=409, body=taken, stall=0.01) if ask.verb == "create" else Fault()

    cluster.api.faults = fault
    with pytest.raises(ClusterError, match="is not deleted"):
        runner.create(client, JOB, slept.append, patience=0.2)
    assert 1 < len(slept) < 50


@pytest.mark.parametrize("goes_on", [False, True], ids=["and no other comes", "and another comes"])
def test_a_job_whose_pod_has_ended_is_waited_for(cluster: FakeCluster, client: Cluster, goes_on: bool) -> None:
    """Newer controllers take a moment to say what becomes of it."""
    assert runner.create(client, JOB)
    (job,) = cluster.jobs()
    owner = {"kind": "Job", "name": "make-it", "uid": job["metadata"]["uid"], "controller": True}
    labels = {"batch.kubernetes.io/job-name": "make-it"}

    def put_pod(name: str, created: str, state: dict[str, Any]) -> None:
        metadata = {"name": name, "labels": labels, "ownerReferences": [owner], "creationTimestamp": created}
        status = {"phase": "Running", "containerStatuses": [{"name": "trainer", "state": state}]}
        cluster.api.objects.create("pods", NAMESPACE, {"metadata": metadata, "spec": {}, "status": status})

    put_pod("one", "2026-01-01T00:00:00Z", {"terminated": {"exitCode": 4}})
    rounds = iter(range(1000))

    def sleep(seconds: float) -> None:
        if next(rounds) == 3:
            if goes_on:
                put_pod("two", "2026-01-01T00:01:00Z", {"running": {}})
            else:
                end(cluster)

    assert runner.create(client, JOB, sleep) is not goes_on
    assert next(rounds) > 3


def say(cluster: FakeCluster, *kinds: str) -> None:
    """Have the Job controller say this of the Job."""
    conditions = [{"type": kind, "status": "True"} for kind in kinds]
    cluster.api.objects.update("jobs", NAMESPACE, "make-it", lambda job: job.update(status={"conditions": conditions}))


@pytest.mark.parametrize(("first", "last"), [("FailureTarget", "Failed"), ("SuccessCriteriaMet", "Complete")])
def test_a_job_that_is_about_to_end_makes_way(cluster: FakeCluster, client: Cluster, first: str, last: str) -> None:
    """Whatever its Pods seem to be, even none: newer controllers say first how it ends, and then that it has."""
    assert runner.create(client, JOB)
    (before,) = cluster.jobs()
    say(cluster, first)
    rounds = iter(range(1000))

    def sleep(seconds: float) -> None:
        if next(rounds) == 3:
            say(cluster, first, last)

    assert runner.create(client, JOB, sleep, is_at_work=lambda pods: True)
    assert next(rounds) > 3, "until its last Pod has ended it stays"
    (after,) = cluster.jobs()
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


def test_a_job_whose_end_hangs_makes_way_later(cluster: FakeCluster, client: Cluster) -> None:
    assert runner.create(client, JOB)
    (before,) = cluster.jobs()
    say(cluster, "FailureTarget")
    assert runner.create(client, JOB, patience=0.3)
    (after,) = cluster.jobs()
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


def test_a_job_of_another_store_is_left_alone(cluster: FakeCluster, client: Cluster) -> None:
    assert runner.create(client, JOB)
    assert not runner.create(client, JOB), "it is at work"
    other: dict[str, Any] = {**JOB, "metadata": {**JOB["metadata"], "annotations": {STORE: "s3://other"}}}  # type: ignore[dict-item]
    with pytest.raises(BadInput, match="belongs to s3://bucket; nothing was done"):
        runner.create(client, other)
