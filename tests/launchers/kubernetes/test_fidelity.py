"""What the launcher relies on in an API server, asked of the double and, where there is one, of a real one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kubernetes import client

from metaqnn_orch.errors import ClusterError
from metaqnn_orch.launchers.kubernetes.cluster import Cluster, Resource
from metaqnn_orch.launchers.kubernetes.credentials import connect
from metaqnn_orch.launchers.kubernetes.manifest import JobForm, manifest
from metaqnn_orch.launchers.kubernetes.names import RunRef, selector
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from tests.cluster.real import namespace, needs_cluster
from tests.launchers.harness import make_request, until
from tests.launchers.kubernetes.conftest import NAMESPACE, fake_cluster

FORM = JobForm(
    "s3://no-store/at-all",
    KubernetesSettings(
        image="no-such-image:none",
        gpus=0,
        cpu=0.1,
        memory="64Mi",
        ephemeral_storage="0M",  # a node in a container has no disk of its own to offer
        image_pull_policy="Never",
    ),
)

NOW = "2026-01-01T00:00:10Z"
ENDED = {"startTime": "2026-01-01T00:00:00Z", "completionTime": NOW}
COMPLETE = ("SuccessCriteriaMet", "Complete")

# Updates of a Job's status that its controller never makes, and what the server says to them.
REFUSED: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
    (("Complete",), ENDED, "Complete=True condition without the SuccessCriteriaMet=true"),
    (("Failed",), {"startTime": NOW}, "Failed=True condition without the FailureTarget=true"),
    (("SuccessCriteriaMet", "FailureTarget"), {}, "cannot set SuccessCriteriaMet=True and FailureTarget=true"),
    (("FailureTarget", "Failed"), {}, "startTime is required for finished job"),
    (COMPLETE, {"startTime": NOW}, "completionTime is required for Complete jobs"),
    (COMPLETE, {"startTime": NOW, "completionTime": "2026-01-01T00:00:00Z"}, "must be equal to or after `startTime`"),
    ((), {"completionTime": NOW}, "cannot set completionTime when there is no Complete=True"),
    (COMPLETE, {**ENDED, "active": 1}, "active>0 is invalid for finished job"),
    (COMPLETE, {**ENDED, "terminating": 1}, "terminating>0 is invalid for finished job"),
    (COMPLETE, {**ENDED, "uncountedTerminatedPods": {"failed": ["x"]}}, "must be empty for finished job"),
    ((), {"ready": 2, "active": 1}, "cannot set more ready pods than active"),
]


class Server(NamedTuple):
    cluster: Cluster
    run: RunRef

    def job(self, attempt: int = 1, **spec: Any) -> dict[str, Any]:
        body = manifest(make_request(self.run.name), attempt, self.run.uid, FORM)
        body["spec"] |= spec
        return body

    def set_status(self, name: str, *kinds: str, **status: Any) -> str:
        """Write a Job's status, as its controller would, with these conditions, those with a minus being no longer
        true. Returns why the server refuses it.
        """
        truths = {kind.removeprefix("-"): str(not kind.startswith("-")) for kind in kinds}
        conditions = [{"type": kind, "status": true, "lastTransitionTime": NOW} for kind, true in truths.items()]
        body = {"status": {"conditions": conditions, **status}}
        batch = client.BatchV1Api(connect(None).client)
        try:
            _ = batch.patch_namespaced_job_status(name, self.cluster.namespace, body, _preload_content=False).data
        except client.ApiException as error:
            return f"{error.reason}: {json.loads(error.body or '{}').get('message')}"
        return ""

    def conditions(self, name: str) -> list[str]:
        """The conditions of a Job that are true, in their order."""
        found = self.cluster.get_job(name).get("status", {}).get("conditions", ())
        return [condition["type"] for condition in found if condition["status"] == "True"]

    def is_since(self, minor: int) -> bool:
        return int(self.cluster.version().split(".")[1]) >= minor

    def names(self) -> list[str]:
        listing = self.cluster.list(Resource.JOBS, selector(self.run))
        return sorted(job["metadata"]["name"] for job in listing.items)


@pytest.fixture(params=["double", pytest.param("real", marks=needs_cluster)])
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    run = RunRef("fidelity", "f" * 32)
    if request.param == "double":
        for _ in fake_cluster(tmp_path, monkeypatch):
            cluster = Cluster(connect, NAMESPACE)
            yield Server(cluster, run)
            cluster.close()
        return
    with namespace() as real:
        cluster = Cluster(connect, real.name)
        yield Server(cluster, run)
        cluster.close()


def refused(call: Any, *arguments: Any) -> tuple[int, str]:
    with pytest.raises(ClusterError) as error:
        call(*arguments)
    return error.value.status, error.value.reason


def test_a_name_is_taken_once(server: Server) -> None:
    body = server.job(suspend=True)
    made = server.cluster.create_job(body)
    assert refused(server.cluster.create_job, body) == (409, "AlreadyExists")
    found = server.cluster.get_job(body["metadata"]["name"])
    assert found["metadata"]["uid"] == made["metadata"]["uid"]
    assert found["metadata"]["labels"].items() >= body["metadata"]["labels"].items()
    assert found["metadata"]["annotations"].items() >= body["metadata"]["annotations"].items()


def test_the_longest_names_are_taken(server: Server) -> None:
    long = Server(server.cluster, RunRef("a" * 40, "f" * 32))
    body = long.job(attempt=999_999_999)
    assert len(body["metadata"]["name"]) == 63
    server.cluster.create_job(body)
    until(lambda: len(server.cluster.list(Resource.PODS, selector(long.run)).items) == 1)


def test_deleting_means_this_one_and_its_pods(server: Server) -> None:
    body = server.job()
    name = body["metadata"]["name"]
    made = server.cluster.create_job(body)
    until(lambda: len(server.cluster.list(Resource.PODS, selector(server.run)).items) == 1)
    (pod,) = server.cluster.list(Resource.PODS, selector(server.run)).items
    (owner,) = pod["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (made["metadata"]["uid"], True)
    server.cluster.delete_job(name, "00000000-0000-0000-0000-000000000000")
    assert server.names() == [name], "another of that name"
    server.cluster.delete_job(name, made["metadata"]["uid"])
    server.cluster.delete_job(name, made["metadata"]["uid"])
    until(lambda: server.names() == [])
    assert refused(server.cluster.get_job, name) == (404, "NotFound")
    until(lambda: server.cluster.list(Resource.PODS, selector(server.run)).items == [])


def test_lists_hold_what_the_selector_says_page_by_page(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metaqnn_orch.launchers.kubernetes.cluster.PAGE", 10)
    other = Server(server.cluster, RunRef("fidelity", "e" * 32))
    server.cluster.create_job(other.job(suspend=True))
    assert server.names() == []
    bodies = [server.job(suspend=True) for _ in range(12)]
    for body in bodies:
        server.cluster.create_job(body)
    assert server.names() == sorted(body["metadata"]["name"] for body in bodies)


def test_a_watch_goes_on_where_the_list_ended(server: Server) -> None:
    before = server.cluster.create_job(server.job(suspend=True))
    listing = server.cluster.list(Resource.JOBS, selector(server.run))
    after = server.cluster.create_job(server.job(suspend=True))
    server.cluster.delete_job(before["metadata"]["name"], before["metadata"]["uid"])
    seen: set[tuple[str, str]] = set()
    versions: list[int] = []
    deadline = time.monotonic() + 20
    for kind, thing in server.cluster.watch(Resource.JOBS, selector(server.run), listing.version, lambda end: None):
        versions.append(int(thing["metadata"]["resourceVersion"]))
        if kind != "BOOKMARK":
            seen.add((kind, thing["metadata"]["uid"]))
        if ("DELETED", before["metadata"]["uid"]) in seen or time.monotonic() > deadline:
            break
    assert ("ADDED", after["metadata"]["uid"]) in seen
    assert ("ADDED", before["metadata"]["uid"]) not in seen, "the list told of it"
    assert versions == sorted(versions)
    assert min(versions) > int(listing.version)


def test_rights_can_be_asked_for(server: Server) -> None:
    assert server.cluster.may("create", "jobs", "batch")
    assert server.cluster.version().startswith("v1.")


def test_what_cannot_be(server: Server) -> None:
    elsewhere = Cluster(connect, "no-such-namespace")
    assert elsewhere.list(Resource.JOBS).items == [], "which is why creating must tell"
    elsewhere.close()


def test_a_job_whose_image_is_not_there_waits(server: Server) -> None:
    server.cluster.create_job(server.job())

    def waits() -> bool:
        for pod in server.cluster.list(Resource.PODS, selector(server.run)).items:
            for container in pod.get("status", {}).get("containerStatuses", ()):
                reason = container.get("state", {}).get("waiting", {}).get("reason")
                if reason in ("ErrImageNeverPull", "ImagePullBackOff"):
                    return True
        return False

    until(waits)


def test_only_an_end_as_the_controller_says_it_is_taken(server: Server) -> None:
    if not server.is_since(32):
        pytest.skip("servers before 1.32 take any status")
    body = server.job(managedBy="example.com/nobody", ttlSecondsAfterFinished=None)  # no controller writes
    name = server.cluster.create_job(body)["metadata"]["name"]
    for kinds, status, words in REFUSED:
        assert words in server.set_status(name, *kinds, **status), (kinds, status)
    assert server.set_status(name, "SuccessCriteriaMet", failed=2) == ""
    assert server.set_status(name, *COMPLETE, failed=2, **ENDED) == ""
    assert server.conditions(name) == [*COMPLETE]
    assert "cannot disable the SuccessCriteriaMet=True" in server.set_status(name, "-SuccessCriteriaMet", failed=2)
    assert "cannot disable the terminal Complete=True" in server.set_status(name, "-Complete", failed=2)
    assert "cannot decrease the failed counter" in server.set_status(name, *COMPLETE, failed=1)
    assert "field is immutable" in server.set_status(name, *COMPLETE, completionTime="2026-01-01T00:00:11Z")
    assert "immutable for unsuspended job" in server.set_status(name, *COMPLETE, startTime="2026-01-01T00:00:01Z")


def test_an_end_is_announced_before_it_is_said(server: Server) -> None:
    """And it is said when the last Pod has ended: until then the Job holds its place."""
    if not server.is_since(31):
        pytest.skip("servers before 1.31 announce few ends")
    body = server.job(backoffLimit=0)
    name = server.cluster.create_job(body)["metadata"]["name"]
    listing = server.cluster.list(Resource.JOBS, selector(server.run))
    until(lambda: len(server.cluster.list(Resource.PODS, selector(server.run)).items) == 1)
    (pod,) = server.cluster.list(Resource.PODS, selector(server.run)).items
    core, where = client.CoreV1Api(connect(None).client), (pod["metadata"]["name"], server.cluster.namespace)
    _ = core.delete_namespaced_pod(*where, _preload_content=False).data
    seen: list[list[str]] = []
    for kind, thing in server.cluster.watch(Resource.JOBS, selector(server.run), listing.version, lambda end: None):
        if kind == "MODIFIED":
            seen.append([c["type"] for c in thing["status"].get("conditions", ())])
        if seen and "Failed" in seen[-1]:
            break
    assert ["FailureTarget"] in seen
    assert seen[-1] == ["FailureTarget", "Failed"]
    status = server.cluster.get_job(name)["status"]
    assert not status.get("active")
    assert not status.get("terminating")
    assert "startTime" in status


def test_a_job_says_that_it_is_suspended(server: Server) -> None:
    body = server.job(suspend=True)
    name = server.cluster.create_job(body)["metadata"]["name"]
    until(lambda: server.conditions(name) == ["Suspended"])
    assert "startTime" not in server.cluster.get_job(name)["status"]
    assert server.cluster.list(Resource.PODS, selector(server.run)).items == []
    batch = client.BatchV1Api(connect(None).client)
    _ = batch.patch_namespaced_job(
        name, server.cluster.namespace, {"spec": {"suspend": False}}, _preload_content=False
    ).data
    until(lambda: server.conditions(name) == [])
    until(lambda: server.cluster.get_job(name)["status"].get("active") == 1)


def test_a_job_of_another_controller_gets_no_pod(server: Server) -> None:
    if not server.is_since(32):
        pytest.skip("servers before 1.32 drop the field")
    name = server.cluster.create_job(server.job(managedBy="example.com/nobody"))["metadata"]["name"]
    server.cluster.create_job(server.job(attempt=2))
    until(lambda: len(server.cluster.list(Resource.PODS, selector(server.run)).items) == 1)
    (pod,) = server.cluster.list(Resource.PODS, selector(server.run)).items
    assert pod["metadata"]["ownerReferences"][0]["name"] != name
    assert not server.cluster.get_job(name).get("status")
