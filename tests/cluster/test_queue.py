"""What a real API server and Job controller make of a Job in a queue, of Jobs that another controller runs, and of
cards by dynamic resource allocation. The Pods go to no node: the tests say what a kubelet would."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from metaqnn_orch.errors import BadInput
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.kubernetes.cluster import Cluster
from metaqnn_orch.launchers.kubernetes.credentials import connect
from metaqnn_orch.launchers.kubernetes.job_schema import KEYED
from metaqnn_orch.launchers.kubernetes.judged import example, judged, refuse_unacceptable
from metaqnn_orch.launchers.kubernetes.launcher import KubernetesLauncher
from metaqnn_orch.launchers.kubernetes.manifest import JobForm
from metaqnn_orch.launchers.kubernetes.names import RunRef
from metaqnn_orch.settings.kubernetes import KubernetesSettings, ResourceClaimSettings
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cluster.real import Namespace, namespace, needs_cluster
from tests.launchers.harness import make_request, until, until_phase
from tests.launchers.kubernetes.kueue import SUSPENDED, Kueue

pytestmark = needs_cluster

RUN = RunRef("queued", "6" * 32)
NOWHERE = {"spec": {"template": {"spec": {"nodeSelector": {"example.com/no": "such"}}}}}
LINGERS = "example.com/lingers"  # finalizer: the Pod stays when it has ended, as it does on a busy node


class World:
    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.cluster = Cluster(connect, namespace.name)
        self._launchers: list[KubernetesLauncher] = []

    def form(self, template: dict[str, Any] = NOWHERE, **settings: Any) -> JobForm:
        return JobForm("s3://bucket", KubernetesSettings(**{"image": "none", "gpus": 0, **settings}), template)

    def launched(self, form: JobForm) -> tuple[KubernetesLauncher, TrainingRequest]:
        launcher = KubernetesLauncher(self.cluster, RUN, form, DirectoryStore("/no/store"), 2, patience=1.0)
        self._launchers.append(launcher)
        request = make_request(RUN.name)
        launcher.launch(request, 1)
        until(lambda: self.namespace.batch.list_namespaced_job(self.namespace.name).items)
        return launcher, request

    def is_since(self, minor: int) -> bool:
        return int(self.cluster.version().split(".")[1]) >= minor

    def pod(self) -> str:
        """The name of the one Pod, when there is one that is not being deleted."""
        found: list[str] = []

        def is_there() -> bool:
            found[:] = [pod.metadata.name for pod in self.namespace.pods() if not pod.metadata.deletion_timestamp]
            return len(found) == 1

        until(is_there)
        return found[0]

    def say(self, pod: str, phase: str, **state: Any) -> None:
        """What a kubelet says of the trainer."""
        status = {"name": "trainer", "state": state, "image": "", "imageID": "", "ready": False, "restartCount": 0}
        body = {"status": {"phase": phase, "containerStatuses": [status]}}
        self.namespace.core.patch_namespaced_pod_status(pod, self.namespace.name, body)

    def finalize(self, pod: str, *finalizers: str) -> None:
        kept = ["batch.kubernetes.io/job-tracking"] if finalizers else []
        body = {"metadata": {"finalizers": [*kept, *finalizers]}}
        self.namespace.core.api_client.set_default_header("Content-Type", "application/merge-patch+json")
        self.namespace.core.patch_namespaced_pod(pod, self.namespace.name, body)

    def close(self) -> None:
        for launcher in self._launchers:
            launcher.close()


@pytest.fixture
def world() -> Iterator[World]:
    with namespace() as new, closing(World(new)) as world:
        yield world


def test_an_evicted_trainer_that_ends_slowly_does_not_fail_its_job(world: World) -> None:
    template = {**SUSPENDED, "spec": {**SUSPENDED["spec"], **NOWHERE["spec"]}}
    launcher, request = world.launched(world.form(template, queue="trials"))
    name = f"queued-{request.trial}-1"
    kueue = Kueue(world.namespace.name, 1)
    kueue.reconcile()
    pod = world.pod()
    world.say(pod, "Running", running={})
    assert until_phase(launcher, request, Phase.RUNNING).attempt == 1
    world.finalize(pod, LINGERS)
    kueue.suspend(name)
    until(lambda: any(found.metadata.deletion_timestamp for found in world.namespace.pods()))
    world.say(pod, "Failed", terminated={"exitCode": 143})
    kueue.restore(name)
    time.sleep(3)  # the Job controller looks at the Pod again and again while it is there
    assert not [one for one in kueue.job(name)["status"]["conditions"] if one["type"] in ("Failed", "FailureTarget")]
    assert until_phase(launcher, request, Phase.PENDING).attempt == 1
    world.finalize(pod)
    kueue.reconcile()
    again = world.pod()
    world.say(again, "Running", running={})
    assert until_phase(launcher, request, Phase.RUNNING).attempt == 1
    assert again != pod


def test_a_job_of_another_controller_is_left_alone(world: World) -> None:
    form = world.form(managed_by="kueue.x-k8s.io/multikueue")
    if not world.is_since(32):
        with pytest.raises(BadInput, match=r"the server would drop a field.* \"?spec\.managedBy"):
            refuse_unacceptable(world.cluster, form, 1)
        return
    launcher, request = world.launched(form)
    name = f"queued-{request.trial}-1"
    time.sleep(2)
    assert world.namespace.pods() == []
    seen = until_phase(launcher, request, Phase.PENDING)
    assert "kueue.x-k8s.io/multikueue" in seen.detail
    with pytest.raises(client.ApiException, match="field is immutable"):
        world.namespace.batch.patch_namespaced_job(name, world.namespace.name, {"spec": {"managedBy": "a.b/c"}})
    now = "2026-01-01T00:00:00Z"
    status = {"active": 1, "ready": 1, "startTime": now}
    world.namespace.batch.patch_namespaced_job_status(name, world.namespace.name, {"status": status})
    assert "in another cluster" in until_phase(launcher, request, Phase.RUNNING).detail


def test_cards_by_class_and_by_template(world: World) -> None:
    claims = (
        ResourceClaimSettings(device_class="gpu.example.com", count=2),
        ResourceClaimSettings(template="one-gpu"),
    )
    spec = {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}]}}
    body = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": "one-gpu"},
        "spec": {"spec": spec},
    }
    place = ("resource.k8s.io", "v1", world.namespace.name)
    form = world.form(resource_claims=claims)
    if not world.is_since(34):
        with pytest.raises(BadInput, match=r"the server would drop a field.* \"?spec\.template\.spec\..*[cC]laims"):
            refuse_unacceptable(world.cluster, form, 1)
        return
    custom = client.CustomObjectsApi()
    custom.create_namespaced_custom_object(*place, "resourceclaimtemplates", body)
    refuse_unacceptable(world.cluster, form, 1)
    world.launched(form)
    pod = world.namespace.core.read_namespaced_pod(world.pod(), world.namespace.name)
    (trainer,) = pod.spec.containers
    assert trainer.resources.limits["deviceclass.resource.kubernetes.io/gpu.example.com"] == "2"
    assert [claim.name for claim in trainer.resources.claims] == ["metaqnn-1"]
    until(lambda: custom.list_namespaced_custom_object(*place, "resourceclaims")["items"])


def test_what_the_servers_schema_refuses_is_refused_before_anything_is_made(world: World) -> None:
    taint = {"key": "gpu", "operator": "Exists", "value": "yes"}  # a value beside Exists
    form = world.form({"spec": {"template": {"spec": {"tolerations": [taint]}}}})
    with pytest.raises(BadInput, match=r"the release's Job template: .*tolerations\[0\]"):
        refuse_unacceptable(world.cluster, form, 1)
    assert world.namespace.batch.list_namespaced_job(world.namespace.name).items == []


def test_lists_are_merged_by_the_servers_own_keys(world: World) -> None:
    with client.ApiClient() as api:
        answer = api.call_api("/openapi/v2", "GET", auth_settings=["BearerToken"], _preload_content=False)
        definitions = json.loads(answer.data)["definitions"]
    found: dict[str, tuple[str, ...]] = {}
    for kind in ("core.v1.PodSpec", "core.v1.Container", "core.v1.ResourceRequirements"):
        for field, shape in definitions[f"io.k8s.api.{kind}"]["properties"].items():
            # Servers before 1.31 say of some lists no more than how they are patched, by one of the keys.
            one = shape.get("x-kubernetes-patch-merge-key")
            if keys := shape.get("x-kubernetes-list-map-keys", [one] if one else []):
                found[field] = tuple(keys)
    del found["ephemeralContainers"]  # no template has any
    assert found == KEYED


CASES = Path(__file__).parents[2].parent / "shared" / "cases" / "templates"


@pytest.mark.skipif(not CASES.is_dir(), reason="needs the cases that are shared among the projects")
@pytest.mark.parametrize("name", ["shm", "gpulimit", "home", "caps", "rootuser", "null", "tmpvol", "sidecar"])
def test_templates_that_people_have_are_taken_by_the_server(world: World, name: str) -> None:
    form = world.form(yaml.safe_load((CASES / f"{name}.yaml").read_text()))
    assert not [word for word in judged(world.cluster, form, example(form, 1)) if "PodSecurity" in word]
