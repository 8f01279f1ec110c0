"""doctor: a tick for what is there, a cross with a remedy for what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.launchers.kubernetes.rights import RIGHTS, Right
from tests.cli.conftest import Answer, Cli, cli
from tests.launchers.harness import until_phase
from tests.launchers.kubernetes.conftest import FakeCluster
from tests.launchers.kubernetes.double.objects import Refused
from tests.seaweedfs import free_ports
from tests.store.faulty_server import always, error, faulty_server

__all__ = ["cli"]

PLACE = "/api/v1/namespaces/trials/"
KEYS = {"AWS_ACCESS_KEY_ID": "YQ==", "AWS_SECRET_ACCESS_KEY": "Yg=="}


class Patient:
    """A cluster with which all is well, and a store."""

    def __init__(self, cluster: FakeCluster, cli: Cli, store: str, endpoint: str) -> None:
        self.cluster, self.api, self._cli, self._store = cluster, cluster.api, cli, store
        self.settings = {
            "image": "trainer",
            "store_endpoint": endpoint,
            "store_secret": "keys",
            "service_account": "trainer",
        }
        self.api.others = {
            PLACE + "serviceaccounts/trainer": {},
            PLACE + "secrets/keys": {"data": KEYS},
            PLACE + "resourcequotas": {"items": [{"metadata": {"name": "q"}, "status": quota("1", "4")}]},
            "/api/v1/nodes": {"items": [{"status": {"allocatable": {"nvidia.com/gpu": "2"}}}, {"status": {}}]},
        }

    def ask(self, *more: str) -> Answer:
        sets = [f"--set=execution.kubernetes.{key}={value}" for key, value in self.settings.items()]
        return self._cli("doctor", "digits", "--store", self._store, "--launcher=kubernetes", *sets, *more)

    def crosses(self) -> list[str]:
        """What is wrong, without a doubt that everything was looked at."""
        answer = self.ask()
        assert answer.code == 1
        assert answer.err == ""
        return [line.removeprefix("✗ ") for line in answer.out.splitlines() if line.startswith("✗ ")]


def quota(used: str, hard: str) -> dict[str, Any]:
    return {"used": {"requests.nvidia.com/gpu": used}, "hard": {"requests.nvidia.com/gpu": hard}}


@pytest.fixture
def patient(cluster: FakeCluster, cli: Cli, s3_store_uri: str, s3_endpoint: str) -> Patient:
    return Patient(cluster, cli, s3_store_uri, s3_endpoint)


def test_all_is_well(patient: Patient) -> None:
    answer = patient.ask()
    assert answer.code == 0, answer.out
    assert {line[0] for line in answer.out.splitlines()} == {"✓"}
    assert "✓ nodes: nvidia.com/gpu: 2 on 1 node" in answer.out.splitlines()
    assert patient.cluster.jobs() == [], "it leaves nothing behind"
    found = patient.ask("-o", "json").json()
    assert {entry["mark"] for entry in found} == {"good"}
    assert len(found) == len(answer.out.splitlines())


def test_the_cluster_is_asked_about_the_jobs_that_there_will_be(patient: Patient) -> None:
    asked: list[str] = []

    def note(resource: str, thing: Any) -> None:
        asked.append(thing["metadata"]["name"])

    patient.api.admission = note
    assert patient.ask("--set=execution.kubernetes.trials_per_job=4", "--set=execution.parallel=8").code == 0
    assert asked
    assert all(name.startswith("doctor-bundle-") for name in asked)


@pytest.mark.parametrize("right", RIGHTS)
def test_every_right_is_asked_for(patient: Patient, right: Right) -> None:
    patient.api.denied = {(right.verb, right.full)}
    crosses = patient.crosses()
    assert f"right: {right.verb} {right.full} in trials: missing" in crosses
    assert len(crosses) == 1 + (right[:2] == ("jobs", "create")), "and the Job that could not be judged"


def test_what_is_wrong_in_the_cluster_is_named(patient: Patient) -> None:
    patient.settings |= {"store_secret": "other", "service_account": "nobody", "gpu_resource": "amd.com/gpu"}
    patient.api.others[PLACE + "resourcequotas"] = {"items": [{"metadata": {"name": "q"}, "status": quota("4", "4")}]}
    patient.api.warning = "would violate PodSecurity: hostPath"
    crosses = "\n".join(patient.crosses())
    for words in (
        "secret other: the Kubernetes API",
        "service account nobody: the Kubernetes API",
        "nodes: amd.com/gpu: no node has 1",
        "namespace: quotas: q: requests.nvidia.com/gpu 4 of 4",
        "namespace: accepts our Jobs: would violate PodSecurity",
    ):
        assert words in crosses
    assert len(crosses.splitlines()) == 5
    assert patient.ask().out.count("make it in namespace trials, or name another") == 2


@pytest.mark.parametrize(("used", "hard"), [("5", "4"), ("4096Mi", "4Gi"), ("0", "0")])
def test_a_quota_that_is_used_up(patient: Patient, used: str, hard: str) -> None:
    patient.api.others[PLACE + "resourcequotas"] = {"items": [{"metadata": {"name": "q"}, "status": quota(used, hard)}]}
    assert patient.crosses() == [f"namespace: quotas: q: requests.nvidia.com/gpu {used} of {hard}"]


def test_pods_that_the_namespace_would_refuse(patient: Patient) -> None:
    limit = Refused(403, "Forbidden", "maximum memory usage per Container is 64Mi, but limit is 8Gi")
    patient.api.admission = lambda resource, thing: limit if resource == "pods" else None
    (cross,) = patient.crosses()
    assert cross.startswith("namespace: accepts their Pods: ")
    assert "maximum memory usage per Container is 64Mi" in cross
    assert "a LimitRange of the namespace bounds it" in patient.ask().out
    patient.api.denied = {("create", "pods")}
    assert "? namespace: accepts their Pods: these credentials may not make any" in patient.ask().out


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
def test_a_queue_that_jobs_would_wait_in(patient: Patient, tmp_path: Path, version: str) -> None:
    template = tmp_path / "job.yaml"
    template.write_text("metadata: {labels: {kueue.x-k8s.io/queue-name: vision}}")
    patient.settings["template"] = str(template)
    (unknown,) = patient.crosses()
    assert unknown.startswith("queue vision: the cluster does not know kueue.x-k8s.io")
    assert "leave out execution.kubernetes.queue" in patient.ask().out
    patient.api.others["/apis/kueue.x-k8s.io"] = {"kind": "APIGroup", "preferredVersion": {"version": version}}
    (missing,) = patient.crosses()
    assert missing.startswith("queue vision: the Kubernetes API")
    place = f"/apis/kueue.x-k8s.io/{version}/namespaces/trials/localqueues/vision"
    active = {
        "type": "Active",
        "status": "False",
        "reason": "ClusterQueueIsInactive",
        "message": "Can't submit new workloads to it",
    }
    queue: dict[str, Any] = {"spec": {"clusterQueue": "gpus"}, "status": {"conditions": [active]}}
    patient.api.others[place] = queue
    cluster_queue = f"/apis/kueue.x-k8s.io/{version}/clusterqueues/gpus"
    stopped = {"type": "Active", "status": "False", "reason": "Stopped", "message": "is stopped"}
    patient.api.others[cluster_queue] = {"spec": {}, "status": {"conditions": [stopped]}}
    assert patient.crosses() == [
        "queue vision: ClusterQueue gpus, not active: ClusterQueueIsInactive: Can't submit new workloads to it",
        "queue vision: ClusterQueue gpus: not active: Stopped: is stopped",
    ]
    active["status"] = stopped["status"] = "True"
    queue["status"] |= {"pendingWorkloads": 3, "admittedWorkloads": 2}
    assert "✓ queue vision: ClusterQueue gpus, 3 wait, 2 are admitted\n" in patient.ask().out
    patient.settings["queue_priority"] = "low"
    (missing,) = patient.crosses()
    assert missing.startswith("queue vision: priority class low: the Kubernetes API")
    patient.api.others[f"/apis/kueue.x-k8s.io/{version}/workloadpriorityclasses/low"] = {"value": 100}
    assert "✓ queue vision: priority class low: value 100\n" in patient.ask().out
    queue["spec"]["stopPolicy"] = "Hold"
    assert patient.crosses() == ["queue vision: ClusterQueue gpus, it is stopped: no Job begins"]
    patient.api.denied = {("get", "vision"), ("get", "gpus"), ("get", "low")}
    answer = patient.ask()
    assert answer.code == 0, "nobody needs the right to look"
    assert "? queue vision: these credentials may not look" in answer.out


CLAIMS = '[{"device_class": "gpu.example.com", "share": 0.25}, {"template": "one-gpu"}, {"claim": "the-gpu"}]'


def test_cards_by_dynamic_resource_allocation(patient: Patient) -> None:
    patient.settings["resource_claims"] = CLAIMS
    patient.api.version = "v1.35.0"
    assert patient.crosses() == ["cluster: resource.k8s.io: the server does not serve it"]
    patient.api.others["/apis/resource.k8s.io"] = {"kind": "APIGroup", "preferredVersion": {"version": "v1"}}
    patient.api.version = "v1.34.0"
    crosses = patient.crosses()
    assert crosses[0] == "device class gpu.example.com: a trial can ask for it by its name from Kubernetes 1.36 on"
    assert [cross.partition(": the")[0] for cross in crosses[1:]] == [
        "resource template one-gpu",
        "resource claim the-gpu",
    ]
    patient.api.version = "v1.36.2"
    assert patient.crosses()[0].startswith("device class gpu.example.com: the Kubernetes API")
    place = "/apis/resource.k8s.io/v1/"
    patient.api.others |= {
        place + "deviceclasses/gpu.example.com": {},
        place + "namespaces/trials/resourceclaimtemplates/one-gpu": {},
        place + "namespaces/trials/resourceclaims/the-gpu": {},
    }
    answer = patient.ask()
    assert answer.code == 0, answer.out
    assert "✓ device class gpu.example.com: 1 for each trial, 0.25 of each\n" in answer.out
    assert "nodes: nvidia.com/gpu:" not in answer.out


def test_cards_that_several_pods_share(patient: Patient) -> None:
    node: dict[str, Any] = {"metadata": {"labels": {}}, "status": {"allocatable": {"nvidia.com/gpu.shared": "8"}}}
    patient.api.others["/api/v1/nodes"] = {"items": [node]}
    patient.settings["gpu_resource"] = "nvidia.com/gpu.shared"
    assert "gpu_share says how much of it the budget counts" in patient.ask().out
    node["metadata"]["labels"] = {"nvidia.com/gpu.replicas": "4"}
    assert "4 Pods share a GPU: execution.kubernetes.gpu_share=0.25 counts it so" in patient.ask().out
    patient.settings["gpu_share"] = "0.25"
    assert "✓ nodes: nvidia.com/gpu.shared: 8 on 1 node\n" in patient.ask().out


def test_a_template_that_the_servers_schema_refuses(patient: Patient, tmp_path: Path) -> None:
    template = tmp_path / "job.yaml"
    template.write_text("spec: {template: {spec: {nodeSelector: {pool: gpu}}}}")
    patient.settings["template"] = str(template)
    invalid = Refused(422, "Invalid", 'Job.batch "x" is invalid: spec.template.spec.tolerations[0].key: Invalid value')
    patient.api.admission = lambda resource, thing: invalid if resource == "jobs" else None
    (cross,) = patient.crosses()
    assert cross.startswith(f"namespace: accepts our Jobs: {template}: the Kubernetes API")
    assert "spec.template.spec.tolerations[0].key: Invalid value" in cross
    patient.api.admission = lambda resource, thing: None
    patient.api.warning = 'unknown field \\"spec.template.spec.schedulingGroup\\"'
    (cross,) = patient.crosses()
    assert f"{template}: the server would drop a field: unknown field" in cross


def test_a_field_that_the_server_drops_without_a_word(patient: Patient) -> None:
    """A server that knows a field whose feature is switched off takes the Job, and the field is gone."""
    patient.settings["managed_by"] = "kueue.x-k8s.io/multikueue"

    def without(resource: str, thing: dict[str, Any]) -> None:
        thing["spec"].pop("managedBy", None)

    patient.api.admission = without
    (cross,) = patient.crosses()
    assert "execution.kubernetes: the server would drop a field without a word: spec.managedBy" in cross


def test_a_secret_without_its_keys(patient: Patient) -> None:
    patient.api.others[PLACE + "secrets/keys"] = {"data": {"AWS_ACCESS_KEY_ID": "YQ=="}}
    assert patient.crosses() == ["secret keys: has no AWS_SECRET_ACCESS_KEY"]


def test_what_cannot_be_seen_is_no_fault(patient: Patient) -> None:
    patient.api.denied = {("get", "keys"), ("get", "nodes"), ("get", "trainer"), ("get", "resourcequotas")}
    answer = patient.ask()
    assert answer.code == 0, answer.out
    assert answer.out.count("? ") == 4


def test_a_cluster_that_does_not_answer(patient: Patient) -> None:
    patient.api.token = "another"
    (cross,) = patient.crosses()
    assert cross.startswith("cluster: answers: ")
    assert "401" in cross


def test_a_store_alone(cli: Cli, tmp_path: Path) -> None:
    answer = cli("doctor", "digits", "--store", tmp_path / "runs")
    assert answer.code == 0
    marks = [line[0] for line in answer.out.splitlines()]
    assert marks[:5] == ["✓"] * 5
    assert {*marks} <= {"✓", "?"}


def test_settings_that_make_no_job(cluster: FakeCluster, cli: Cli, tmp_path: Path) -> None:
    answer = cli("doctor", "digits", "--store", tmp_path / "runs", "--launcher=kubernetes")
    assert answer.code == 1
    assert "✗ settings: a Job can be made from them: execution.kubernetes.image must be given" in answer.out


WHAT = "store: as Pods talk to it"


def seen_by_pods(patient: Patient) -> tuple[str, str]:
    """What is said of the store as Pods speak to it, and what to do about it."""
    lines = [*patient.ask().out.splitlines(), ""]
    number = next(number for number, line in enumerate(lines) if WHAT in line)
    return lines[number], lines[number + 1].strip()


def test_the_store_is_spoken_to_as_pods_are_told_to(patient: Patient, s3_endpoint: str) -> None:
    patient.settings |= {"store_region": "lab-1", "store_checksums": "when_supported"}
    assert seen_by_pods(patient)[0] == f"✓ {WHAT}: {s3_endpoint}, region lab-1"
    with faulty_server(always(error(301, "PermanentRedirect"))) as (url, _):
        patient.settings["store_endpoint"] = url
        line, fix = seen_by_pods(patient)
    assert line.startswith(f"✗ {WHAT}: s3://")
    assert f"{url} answered HTTP 301 PermanentRedirect" in line
    assert "AWS_REGION" in fix


def test_a_style_that_only_pods_have(patient: Patient) -> None:
    patient.settings |= {"store_endpoint": "http://store.invalid:9000", "store_addressing_style": "virtual"}
    line, fix = seen_by_pods(patient)
    assert line.startswith("? "), "there is no such name in DNS, here"
    assert "METAQNN_S3_ADDRESSING_STYLE=path" in fix


def test_an_address_that_only_pods_can_reach_is_a_question(patient: Patient) -> None:
    patient.settings["store_endpoint"] = f"http://127.0.0.1:{free_ports(1)[0]}"
    line, fix = seen_by_pods(patient)
    assert line.startswith(f"? {WHAT}: no answer at this machine: s3://")
    assert "a search in a Pod asks from inside the cluster" in fix, "and not Helm, which knows nothing of it"
    assert patient.ask().code == 0


def test_gpus_that_trials_did_not_find(patient: Patient) -> None:
    launcher = patient.cluster.launcher()
    for fate, phase in (("exits-13", Phase.CRASHED), ("exits-14", Phase.NO_DEVICE), ("exits-14", Phase.NO_DEVICE)):
        launcher.launch(request := patient.cluster.request(fate), 1)
        until_phase(launcher, request, phase)
        if phase is Phase.CRASHED:
            assert "✓ nodes: GPUs that trials did not find: none" in patient.ask().out
    (cross,) = patient.crosses()
    said = "node node-1, the trainer ended with exit code 14 (device): trial"
    assert cross.startswith(f"nodes: GPUs that trials did not find: {said}"), "and what it said"
    assert cross.count("node-1") == 1, "each node once"
    assert "kubectl cordon node-1, then check the driver and the device plugin there" in patient.ask().out
    patient.api.denied = {("list", "pods")}
    assert "? nodes: GPUs that trials did not find: these credentials may not look" in patient.ask().out
    patient.settings["gpus"] = "0"
    assert "GPUs that trials" not in patient.ask().out, "none is asked for"


def test_what_a_template_asks_in_vain_is_said(patient: Patient, tmp_path: Path) -> None:
    template = tmp_path / "job.yaml"
    template.write_text("spec: {template: {spec: {restartPolicy: Always}}}")
    patient.settings["template"] = str(template)
    assert (
        "✓ settings: a Job can be made from them: trainer; spec.template.spec.restartPolicy is ignored: "
        in patient.ask().out
    )
