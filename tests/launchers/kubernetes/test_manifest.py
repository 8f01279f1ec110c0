"""The Job compared whole, and held against Kubernetes' own schemas."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from metaqnn_orch.errors import BadInput
from metaqnn_orch.launchers.kubernetes.manifest import JobForm, bundle_manifest, manifest
from metaqnn_orch.launchers.kubernetes.names import Identity, RunRef, read_carried
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_trainer.contract.messages import DatasetRef, TrainingRequest, TrialSpec
from tests.kubernetes_schemas import validate
from tests.launchers.kubernetes.servers import NEWEST, SERVERS

ROOT = Path(__file__).parents[3]
SPEC = TrialSpec(net="[C(4,3,1), SM(10)]", dataset=DatasetRef(name="digits", digest="0" * 16), image_size=8)
REQUEST = TrainingRequest(run="first", trial=SPEC.trial_id(), spec=SPEC)
UID = "0123456789abcdef" * 2
IMAGE = "registry.example/trainer@sha256:" + "ab" * 32


def form(template: dict[str, Any] | None = None, **settings: Any) -> JobForm:
    return JobForm("s3://bucket/runs", KubernetesSettings(image=IMAGE, **settings), template or {})


def job(template: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    return manifest(REQUEST, 2, UID, form(template, **settings))


def overruled(template: dict[str, Any], **settings: Any) -> list[str]:
    """Places at which the template is ignored."""
    return [place for place, _ in form(template, **settings).overruled]


def pod(job: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = job["spec"]["template"]["spec"]
    return spec


def trainer(job: dict[str, Any]) -> dict[str, Any]:
    (container,) = [container for container in pod(job)["containers"] if container["name"] == "trainer"]
    return dict(container)


def test_the_whole_job() -> None:
    own_labels = {
        "app.kubernetes.io/name": "metaqnn",
        "app.kubernetes.io/component": "trainer",
        "app.kubernetes.io/managed-by": "metaqnn-orch",
        "metaqnn/run": "first",
        "metaqnn/run-uid": UID,
        "metaqnn/trial": REQUEST.trial,
        "metaqnn/attempt": "2",
    }
    amounts = {"cpu": "4", "memory": "8Gi", "nvidia.com/mig-1g.10gb": "1"}
    wanted = job(
        cpu=4.0,
        gpu_resource="nvidia.com/mig-1g.10gb",
        service_account="trainer",
        store_secret="store-keys",
        store_endpoint="http://store.example:8333",
        store_region="eu-west-1",
    )
    assert wanted == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"first-{REQUEST.trial}-2",
            "labels": own_labels,
            "annotations": {
                "metaqnn/form": wanted["metadata"]["annotations"]["metaqnn/form"],
                "metaqnn/net": "[C(4,3,1), SM(10)]",
            },
        },
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": 3,
            "podFailurePolicy": {
                "rules": [
                    {"action": "Count", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": "trainer", "operator": "NotIn", "values": [0, 143]},
                        "onPodConditions": [],
                    },
                    {
                        "action": "Count",
                        "onExitCodes": {"containerName": "trainer", "operator": "In", "values": [143]},
                        "onPodConditions": [],
                    },
                    {
                        "action": "FailJob",
                        "onExitCodes": {"operator": "NotIn", "values": [0, 143]},
                        "onPodConditions": [],
                    },
                ]
            },
            "podReplacementPolicy": "Failed",
            "ttlSecondsAfterFinished": 2592000,
            "template": {
                "metadata": {"labels": own_labels},
                "spec": {
                    "restartPolicy": "Never",
                    "activeDeadlineSeconds": 21600,
                    "terminationGracePeriodSeconds": 60,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "serviceAccountName": "trainer",
                    "securityContext": {
                        "runAsNonRoot": True,
                        "seccompProfile": {"type": "RuntimeDefault"},
                        "runAsUser": 65532,
                        "runAsGroup": 65532,
                        "fsGroup": 65532,
                    },
                    "volumes": [
                        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
                        {"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}},
                    ],
                    "containers": [
                        {
                            "name": "trainer",
                            "image": IMAGE,
                            "imagePullPolicy": "IfNotPresent",
                            "args": [
                                "train",
                                "--store=s3://bucket/runs",
                                "--run=first",
                                f"--trial={REQUEST.trial}",
                                "--attempt=2",
                            ],
                            "env": [
                                {"name": "AWS_ENDPOINT_URL_S3", "value": "http://store.example:8333"},
                                {"name": "AWS_REGION", "value": "eu-west-1"},
                                secret("AWS_ACCESS_KEY_ID"),
                                secret("AWS_SECRET_ACCESS_KEY"),
                                secret("AWS_SESSION_TOKEN", optional=True),
                                {"name": "HOME", "value": "/tmp"},
                            ],
                            "resources": {"requests": {"ephemeral-storage": "2Gi", **amounts}, "limits": amounts},
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                                "privileged": False,
                                "readOnlyRootFilesystem": True,
                            },
                            "terminationMessagePolicy": "FallbackToLogsOnError",
                            "volumeMounts": [
                                {"name": "shm", "mountPath": "/dev/shm"},
                                {"name": "tmp", "mountPath": "/tmp"},
                            ],
                        }
                    ],
                },
            },
        },
    }


# sha256 of whole Jobs: who changes what a Job says, or what its settings are, changes them, and with them the form's
# digest.
ALONE = [
    ({}, [], "d63909278cc983d867c59ba4b4441bac6318eb82dde63224274e3b63a52f5db2"),
    (
        {"gpus": 0, "store_endpoint": "http://s:1", "store_secret": "keys", "service_account": "t", "store_ca": "ca"},
        ["n1"],
        "1f71378ecc32271e2ed8bbf8d02f27817b863a3e637f01fd20e6fbc7142164c7",
    ),
]


@pytest.mark.parametrize("trials_per_job", [1, 4])
@pytest.mark.parametrize(("settings", "avoided", "sha256"), ALONE, ids=["plain", "rich"])
def test_the_job_of_one_trial_is_the_same_to_the_byte(
    settings: dict[str, Any], avoided: list[str], sha256: str, trials_per_job: int
) -> None:
    chosen = JobForm(
        "s3://bucket/runs", KubernetesSettings(image="trainer:1", trials_per_job=trials_per_job, **settings)
    )
    wanted = manifest(REQUEST, 3, UID, chosen, avoided)
    assert hashlib.sha256(json.dumps(wanted).encode()).hexdigest() == sha256


def bundle(template: dict[str, Any] | None = None, count: int = 3, **settings: Any) -> dict[str, Any]:
    trials = [Identity(RunRef("first", UID), f"{number:012x}", 1) for number in range(count)]
    return bundle_manifest(trials, form(template, **settings))


def test_a_bundle_differs_from_one_trial_only_where_it_must() -> None:
    wanted, alone = bundle(RICH), job(RICH)
    carried = read_carried(wanted)
    assert [one.trial for one in carried.trials] == [f"{number:012x}" for number in range(3)]
    trials = "000000000000/1 000000000001/1 000000000002/1"
    assert wanted["metadata"]["annotations"]["metaqnn/trials"] == trials
    assert wanted["spec"]["template"]["metadata"]["annotations"] == {"sidecar": "yes", "metaqnn/trials": trials}
    assert wanted["metadata"]["name"] == f"first-bundle-{carried.bundle}"
    assert wanted["metadata"]["labels"]["metaqnn/bundle"] == carried.bundle
    assert trainer(wanted)["args"] == [
        "bundle",
        "--store=s3://bucket/runs",
        "--run=first",
        f"--bundle={carried.bundle}",
        "--limit=21600",
        *(f"--order={number:012x}/1" for number in range(3)),
    ]
    assert pod(wanted)["activeDeadlineSeconds"] == 3 * pod(alone)["activeDeadlineSeconds"]
    for part in (wanted, alone):
        del part["metadata"], part["spec"]["template"]["metadata"]
        del trainer_of(part)["args"], pod(part)["activeDeadlineSeconds"]
    assert wanted == alone


def trainer_of(job: dict[str, Any]) -> dict[str, Any]:
    containers: list[dict[str, Any]] = pod(job)["containers"]
    return next(container for container in containers if container["name"] == "trainer")


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("count", [2, 100])
def test_kubernetes_own_schemas_take_bundles(server: str, count: int) -> None:
    validate(bundle(RICH, count), server)


def test_no_pod_has_a_longer_deadline_than_the_api_takes() -> None:
    assert pod(bundle(time_limit_seconds=2**31 - 1))["activeDeadlineSeconds"] == 2**31 - 1


def test_how_the_store_is_spoken_to_reaches_the_trainer() -> None:
    wanted = job(store_addressing_style="virtual", store_checksums="when_required", store_ca="authority")
    pod = wanted["spec"]["template"]["spec"]
    assert {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]} == {
        "AWS_CA_BUNDLE": "/etc/metaqnn/store-ca/ca.crt",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        "METAQNN_S3_ADDRESSING_STYLE": "virtual",
        "HOME": "/tmp",
    }
    assert {"name": "store-ca", "configMap": {"name": "authority"}} in pod["volumes"]
    mounts = pod["containers"][0]["volumeMounts"]
    assert {"name": "store-ca", "mountPath": "/etc/metaqnn/store-ca", "readOnly": True} in mounts
    plain = job()["spec"]["template"]["spec"]
    assert plain["containers"][0]["env"] == [{"name": "HOME", "value": "/tmp"}]
    assert [volume["name"] for volume in plain["volumes"]] == ["shm", "tmp"]


def secret(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": "store-keys", "key": name, **more}}}


# What an administrator may well write.
RICH: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"labels": {"kueue.x-k8s.io/queue-name": "trials"}, "annotations": {"team": "vision"}},
    "spec": {
        "template": {
            "metadata": {"annotations": {"sidecar": "yes"}},
            "spec": {
                "nodeSelector": {"gpu": "l4"},
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
                "priorityClassName": "low",
                "imagePullSecrets": [{"name": "registry"}],
                "securityContext": {"runAsUser": 1000},
                "containers": [
                    {"name": "sidecar", "image": "registry.example/sidecar"},
                    {
                        "name": "trainer",
                        "env": [{"name": "HOME", "value": "/home"}, {"name": "HTTPS_PROXY", "value": "http://p:1"}],
                        "volumeMounts": [{"name": "runs", "mountPath": "/runs"}],
                        "resources": {"limits": {"ephemeral-storage": "4Gi"}},
                    },
                ],
                "volumes": [{"name": "runs", "persistentVolumeClaim": {"claimName": "runs"}}],
            },
        }
    },
}


def test_a_template_adds_and_replaces_defaults() -> None:
    wanted, plain = job(RICH), job()
    assert wanted["metadata"]["labels"] == {**plain["metadata"]["labels"], "kueue.x-k8s.io/queue-name": "trials"}
    assert wanted["metadata"]["annotations"]["team"] == "vision"
    assert wanted["spec"]["template"]["metadata"]["annotations"] == {"sidecar": "yes"}
    for key in ("nodeSelector", "tolerations", "priorityClassName", "imagePullSecrets"):
        assert pod(wanted)[key] == pod(RICH)[key]
    assert pod(wanted)["securityContext"] == {**pod(plain)["securityContext"], "runAsUser": 1000}
    assert [container["name"] for container in pod(wanted)["containers"]] == ["trainer", "sidecar"]
    environment = {entry["name"]: entry["value"] for entry in trainer(wanted)["env"]}
    assert environment == {"HOME": "/home", "HTTPS_PROXY": "http://p:1"}
    assert [mount["name"] for mount in trainer(wanted)["volumeMounts"]] == ["shm", "runs", "tmp"]
    assert [volume["name"] for volume in pod(wanted)["volumes"]] == ["shm", "runs", "tmp"]
    assert trainer(wanted)["resources"]["limits"] == {
        "cpu": "2",
        "memory": "8Gi",
        "nvidia.com/gpu": "1",
        "ephemeral-storage": "4Gi",
    }
    assert form(RICH).mounts() == ["/runs"]
    assert overruled(RICH) == []


def test_what_we_rely_on_wins_over_a_template_and_it_is_said() -> None:
    hostile = {
        "metadata": {"labels": {"metaqnn/run": "other"}},
        "spec": {
            "backoffLimit": 6,
            "podFailurePolicy": {"rules": []},
            "template": {
                "spec": {
                    "restartPolicy": "OnFailure",
                    "automountServiceAccountToken": True,
                    "securityContext": {"runAsNonRoot": False},
                    "containers": [
                        {
                            "name": "trainer",
                            "image": "elsewhere",
                            "args": ["sh"],
                            "securityContext": {"readOnlyRootFilesystem": False, "capabilities": {"drop": []}},
                        }
                    ],
                }
            },
        },
    }
    assert job(hostile) == {**job(), "metadata": job(hostile)["metadata"]}, "all of it, but for the form's digest"
    assert job(hostile)["metadata"]["labels"] == job()["metadata"]["labels"]
    container = "spec.template.spec.containers[trainer]"
    assert overruled(hostile) == [
        "metadata.labels.metaqnn/run",
        "spec.template.spec.securityContext.runAsNonRoot",
        f"{container}.securityContext.readOnlyRootFilesystem",
        f"{container}.securityContext.capabilities",
        "spec.backoffLimit",
        "spec.podFailurePolicy",
        "spec.template.spec.restartPolicy",
        "spec.template.spec.automountServiceAccountToken",
        f"{container}.image",
        f"{container}.args",
    ]


def test_the_template_that_we_hand_out_changes_nothing() -> None:
    text = (ROOT / "k8s" / "job-template.yaml").read_text()
    template = yaml.safe_load(text)
    assert overruled(template) == []
    wanted, plain = job(template), job()
    for metadata in (wanted["metadata"]["annotations"], plain["metadata"]["annotations"]):
        metadata.pop("metaqnn/form")
    wanted["spec"]["template"]["metadata"].pop("annotations")
    assert wanted == plain


def test_the_template_that_we_hand_out_can_be_uncommented() -> None:
    text = (ROOT / "k8s" / "job-template.yaml").read_text()
    _, separator, body = text.partition("apiVersion")
    lines = [line.replace("# ", "", 1) if line.lstrip().startswith("# ") else line for line in body.splitlines()]
    uncommented = "\n".join(line.replace(": {}", ":").replace(": []", ":") for line in lines)
    template = yaml.safe_load(separator + uncommented)
    assert pod(template)["nodeSelector"]
    assert pod(template)["volumes"]
    validate(job(template), NEWEST)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("template", [{}, RICH], ids=["plain", "rich"])
def test_kubernetes_own_schemas_take_it(server: str, template: dict[str, Any]) -> None:
    wanted = job(template, store_secret="keys", store_endpoint="https://s3.example", service_account="trainer")
    validate(wanted, server)


def test_no_gpu_asks_for_none() -> None:
    resources = trainer(job(gpus=0))["resources"]
    limits = {"cpu": "2", "memory": "8Gi"}
    assert resources == {"requests": {"ephemeral-storage": "2Gi", **limits}, "limits": limits}


@pytest.mark.parametrize("server", SERVERS)
def test_nodes_are_avoided_beside_what_the_template_prefers(server: str) -> None:
    zone = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}
    rules = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": zone}]}
    template = {"spec": {"template": {"spec": {"affinity": {"nodeAffinity": rules, "podAffinity": {}}}}}}
    before = json.dumps(template)
    wanted = manifest(REQUEST, 3, UID, form(template), ["one", "two"])
    validate(wanted, server)
    affinity = pod(wanted)["affinity"]
    theirs, ours = affinity["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert theirs == {"weight": 1, "preference": zone}
    assert [field["values"] for field in ours["preference"]["matchFields"]] == [["one"], ["two"]]
    assert affinity["podAffinity"] == {}
    assert json.dumps(template) == before


def test_making_one_twice_gives_the_same_and_changes_nothing() -> None:
    template = json.loads(json.dumps(RICH))
    assert job(template) == job(template)
    assert template == RICH


def test_the_forms_digest_tells_jobs_of_other_settings_apart() -> None:
    assert form().digest == form(creates_per_second=3.0).digest == form(trials_per_job=9).digest
    assert len({form().digest, form(memory="4Gi").digest, form(RICH).digest}) == 3


def test_an_image_must_be_given() -> None:
    with pytest.raises(BadInput, match="image must be given"):
        JobForm("s3://bucket", KubernetesSettings())
