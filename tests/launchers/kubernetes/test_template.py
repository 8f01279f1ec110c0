"""Job templates: every field is ours, theirs or unknown, and whatever comes out is a Job that Kubernetes takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from metaqnn_orch.errors import BadInput
from metaqnn_orch.launchers.kubernetes.manifest import JobForm, dataset_manifest
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_orch.settings.strict_yaml import parse_mapping
from tests.kubernetes_schemas import validate
from tests.launchers.kubernetes.job_schema import TABLE, as_text, read_models
from tests.launchers.kubernetes.restricted_profile import violations
from tests.launchers.kubernetes.servers import NEWEST, SERVERS
from tests.launchers.kubernetes.test_manifest import form, job, overruled, pod, trainer

CASES: Final = Path(__file__).parents[3].parent / "shared" / "cases" / "templates"
POD: Final = "spec.template.spec"
TRAINER: Final = f"{POD}.containers[trainer]"


def of_pod(**fields: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": fields}}}


def of_trainer(**fields: Any) -> dict[str, Any]:
    return of_pod(containers=[{"name": "trainer", **fields}])


def beside(**fields: Any) -> dict[str, Any]:
    """A template with another container."""
    return of_pod(containers=[{"name": "other", "image": "other", **fields}])


def refusal(template: dict[str, Any], **settings: Any) -> str:
    with pytest.raises(BadInput) as error:
        JobForm("s3://bucket", KubernetesSettings(image="i", template="mine.yaml", **settings), template)
    text = str(error.value)
    assert text.startswith("mine.yaml: ")
    assert text.isprintable()
    return text.removeprefix("mine.yaml: ")


def taken(template: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """The Job of a template, which servers take and the restricted profile too."""
    wanted = job(template, **settings)
    validate(wanted, NEWEST)
    assert list(violations(wanted["spec"]["template"])) == []
    return wanted


def test_the_table_of_fields_is_what_the_client_knows() -> None:
    assert TABLE.read_text() == as_text(read_models()), "python -m tests.launchers.kubernetes.job_schema"


# What people write, and where it is ignored; None where it is refused.
@pytest.mark.skipif(not CASES.exists(), reason="the examples are not here")
@pytest.mark.parametrize(
    ("name", "told"),
    {
        "caps": [f"{TRAINER}.securityContext.capabilities"],
        "gpulimit": [],
        "home": [],
        "null": [],
        "numbers": [],
        "pod": None,
        "rootuser": [f"{POD}.securityContext.runAsUser"],
        "shm": [f"{TRAINER}.volumeMounts[/dev/shm]"],
        "sidecar": [],
        "tmpvol": [],
        "wrongname": None,
    }.items(),
)
@pytest.mark.parametrize("server", SERVERS)
def test_what_people_write(name: str, told: list[str] | None, server: str) -> None:
    template = parse_mapping((CASES / f"{name}.yaml").read_text(), name, as_written=True)
    if told is None:
        words = {
            "pod": "is a v1 Pod, not a batch/v1 Job",
            "wrongname": "the trainer's container must be named 'trainer'",
        }
        assert words[name] in refusal(template)
    else:
        validate(taken(template), server)
        assert overruled(template) == told


@pytest.mark.parametrize(
    ("template", "words"),
    [
        # No field, with what may be meant or where it belongs.
        (of_pod(tolleration=[]), f"{POD} has no field 'tolleration': did you mean tolerations?"),
        (of_pod(imagePullSecret="a"), "did you mean imagePullSecrets?"),
        (of_pod(nodeselector={}), "did you mean nodeSelector?"),
        (of_trainer(volumeMount=[]), f"{TRAINER} has no field 'volumeMount': did you mean volumeMounts?"),
        (of_pod(volumes=[{"name": "x", "persistentVolumeclaim": {}}]), "did you mean persistentVolumeClaim?"),
        (of_pod(affinity={"nodeAfinity": {}}), "did you mean nodeAffinity?"),
        ({"spec": {"nodeSelector": {}}}, f"spec has no field 'nodeSelector'; it belongs to {POD}"),
        ({"tolerations": []}, f"the template has no field 'tolerations'; it belongs to {POD}"),
        (of_trainer(nodeSelector={}), f"it belongs to {POD}"),
        (of_pod(resource={}), "did you mean resources?"),
        (of_pod(xyzzy=1), f"{POD} has no field 'xyzzy'"),
        ({"metadata": {"lables": {}}}, "metadata has no field 'lables': did you mean labels?"),
        # Fields of objects that are there.
        ({"kind": "Pod", "apiVersion": "v1"}, "is a v1 Pod, not a batch/v1 Job"),
        ({"status": {}}, "status may not be in a template"),
        ({"metadata": {"name": "mine"}}, "metadata may have labels and annotations, not 'name'"),
        ({"spec": {"template": {"metadata": {"generateName": "x"}}}}, "not 'generateName'"),
        (of_pod(ephemeralContainers=[]), "ephemeralContainers may not be in a template"),
        # Wrong types.
        ({"spec": []}, "spec is a list, but a mapping is needed"),
        (of_pod(containers={}), f"{POD}.containers is a mapping, but a list is needed"),
        (of_pod(tolerations="all"), "tolerations is the text 'all', but a list is needed"),
        (of_pod(priorityClassName=5), "is the number 5, but text is needed: put it into quotes"),
        (of_pod(tolerations=[{"value": True}]), "tolerations[0].value is true, but text is needed"),
        (of_pod(tolerations=[{"tolerationSeconds": "5"}]), "is the text '5', but a whole number is needed"),
        (of_pod(shareProcessNamespace="yes"), "is the text 'yes', but true or false is needed"),
        (of_pod(shareProcessNamespace=1), "is the number 1, but true or false is needed"),
        (of_pod(volumes=["x"]), f"{POD}.volumes[0] is the text 'x', but a mapping is needed"),
        (of_pod(volumes=[{"name": "x", "secret": {"defaultMode": "0400"}}]), "0400 is octal for 256"),
        (of_trainer(readinessProbe={"httpGet": {"port": []}}), "port is a list, but a port is needed"),
        # What must be given.
        (of_pod(containers=[{}]), "containers[0] needs a name"),
        (of_pod(topologySpreadConstraints=[{"maxSkew": 1}]), "topologySpreadConstraints[0] needs a topologyKey"),
        (of_trainer(ports=[{}]), "ports[0] needs a containerPort"),
        (of_pod(containers=[{"name": "training"}]), "has no image; the trainer's container must be named 'trainer'"),
        (
            of_pod(initContainers=[{"name": "trainer"}]),
            "has no image; the trainer's container must be named 'trainer', in",
        ),
        # The same twice.
        (of_pod(volumes=[{"name": "x", "emptyDir": {}}] * 2), "volumes has two items with the same name, x"),
        (of_trainer(env=[{"name": "A"}, {"name": "A", "value": "1"}]), "two items with the same name, A"),
        (
            of_trainer(volumeMounts=[{"name": "tmp", "mountPath": "/a"}, {"name": "tmp", "mountPath": "/a/"}]),
            "two items with the same mountPath, /a",
        ),
        (of_pod(initContainers=[{"name": "trainer", "image": "i"}]), "another container has that name"),
        # One of several.
        (of_pod(volumes=[{"name": "x"}]), "volumes[x] does not say what kind it is, as emptyDir: {}"),
        (of_pod(volumes=[{"name": "x", "emptyDir": {}, "secret": {}}]), "has both emptyDir and secret"),
        (of_trainer(env=[{"name": "A", "value": "1", "valueFrom": {}}]), "does not say what kind it is"),
        (
            of_trainer(env=[{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "a"}}}]),
            f"{TRAINER}.env[A] has both value and valueFrom: it may have one of them",
        ),
        (
            of_trainer(envFrom=[{"prefix": "A"}]),
            "envFrom[0] does not say what kind it is: one of configMapRef, secretRef",
        ),
        (of_trainer(livenessProbe={"exec": {}, "grpc": {"port": 1}}), "has both exec and grpc"),
        (of_trainer(livenessProbe={"periodSeconds": 1}), "livenessProbe does not say what kind it is"),
        (of_trainer(lifecycle={"preStop": {"exec": {}, "sleep": {"seconds": 1}}}), "has both exec and sleep"),
        (
            of_trainer(volumeMounts=[{"name": "tmp", "mountPath": "/a", "subPath": "a", "subPathExpr": "b"}]),
            "has both subPath and subPathExpr",
        ),
        (of_pod(volumes=[{"name": "x", "projected": {"sources": [{}]}}]), "sources[0] does not say what kind it is"),
        (of_pod(resourceClaims=[{"name": "gpu"}]), "one of resourceClaimName, resourceClaimTemplateName"),
        # Names and labels.
        (of_pod(volumes=[{"name": "My_Data", "emptyDir": {}}]), "'My_Data' is not a valid name"),
        (of_pod(containers=[{"name": "a" * 64, "image": "i"}]), "is not a valid name: use at most 63"),
        (of_trainer(env=[{"name": "A=B"}]), "is not a valid name of a variable"),
        (of_pod(volumes=[{"name": "two\nlines", "emptyDir": {}}]), r"'two\nlines' is not a valid name"),
        (of_trainer(volumeMounts=[{"name": "x", "mountPath": "/two\nlines"}]), "[/two lines]: there is no volume 'x'"),
        (of_pod(containers=[{"name": "other", "image": ""}]), "has no image"),
        ({"metadata": {"labels": {"two\nlines": []}}}, "two lines is a list, but text is needed"),
        ({"metadata": {"labels": {"team": "a b"}}}, "metadata.labels.team is 'a b'"),
        ({"metadata": {"labels": {"team": "a" * 64}}}, "at most 63"),
        ({"metadata": {"labels": {"a/b/c": "a"}}}, "metadata.labels has the invalid key 'a/b/c'"),
        ({"metadata": {"annotations": {"two words": "a"}}}, "metadata.annotations has the invalid key 'two words'"),
        ({"metadata": {"annotations": {"a": "x" * 2**18}}}, "metadata.annotations has more than 262144 bytes"),
        ({"metadata": {"labels": {"version": 1.1}}}, "metadata.labels.version is the number 1.1, which may"),
        ({"metadata": {"labels": {"team": ["a"]}}}, "metadata.labels.team is a list, but text is needed"),
        (of_trainer(env=[{"name": "A", "value": 0.5}]), "env[A].value is the number 0.5, which may"),
        (of_trainer(env=[{"name": "A", "value": {}}]), "env[A].value is a mapping, but text is needed"),
        (of_pod(nodeSelector={"zone": "a b"}), "nodeSelector.zone is 'a b'"),
        # What would let a Pod out of its sandbox.
        (of_pod(hostNetwork=True), "hostNetwork is not allowed: it would let trainers out"),
        (of_pod(hostPID=True), "hostPID is not allowed: it would let trainers out"),
        (of_pod(volumes=[{"name": "x", "hostPath": {"path": "/"}}]), "volumes[x] is a hostPath, which the restricted"),
        (of_pod(volumes=[{"name": "x", "nfs": {"path": "/", "server": "a"}}]), "volumes[x] is a nfs"),
        (beside(securityContext={"privileged": True}), "containers[other] is privileged"),
        (of_trainer(securityContext={"privileged": True}), "containers[trainer] is privileged"),
        (beside(ports=[{"containerPort": 80, "hostPort": 80}]), "uses a port of the node"),
        (beside(livenessProbe={"tcpSocket": {"port": 1, "host": "a"}}), "a probe or hook for another host"),
        (beside(volumeMounts=[{"name": "tmp", "mountPath": "/a", "mountPropagation": "Bidirectional"}]), "propagates"),
        (
            of_pod(volumes=[{"name": "x", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]),
            "volumes[x] is a token for the cluster's API",
        ),
        # What does not fit together.
        (
            of_trainer(volumeMounts=[{"name": "data", "mountPath": "/data"}]),
            "there is no volume 'data'; there are shm, tmp",
        ),
        (beside(volumeDevices=[{"name": "data", "devicePath": "/dev/x"}]), "there is no volume 'data'"),
        (
            of_pod(initContainers=[{"name": "a", "image": "a", "startupProbe": {"exec": {}}}]),
            "initContainers[a].startupProbe is not possible in a container that ends before the trainer begins",
        ),
        # Amounts.
        (of_trainer(resources={"limits": {"ephemeral-storage": "lots"}}), "is 'lots', which is not a quantity"),
        (of_trainer(resources={"limits": {"ephemeral-storage": -1}}), "is '-1', which is not a quantity"),
        (of_trainer(resources={"limits": {"gpu": 1}}), "there is no resource 'gpu'"),
        (of_trainer(resources={"limits": {"memroy": "1Gi"}}), "did you mean memory?"),
        (of_trainer(resources={"requests": {"rdma/hca": 1}}), "rdma/hca needs a limit, not only a request"),
        (of_trainer(resources={"limits": {"rdma/hca": "500m"}}), "rdma/hca must be a whole number"),
        (
            beside(resources={"limits": {"cpu": "500m"}, "requests": {"cpu": 1}}),
            "containers[other].resources: 1 of cpu are requested, but the limit is 500m",
        ),
        (beside(resources={"limits": {"memory": "1G"}, "requests": {"memory": "1Gi"}}), "1Gi of memory are requested"),
        (beside(resources={"limits": {"a/b": 2}, "requests": {"a/b": 1}}), "1 of a/b are requested"),
        (
            of_pod(volumes=[{"name": "x", "emptyDir": {"sizeLimit": "big"}}]),
            "sizeLimit is 'big', which is not a quantity",
        ),
    ],
    ids=lambda case: case[:60] if isinstance(case, str) else "",
)
def test_what_is_no_template_is_refused_by_name(template: dict[str, Any], words: str) -> None:
    assert words in refusal(template)


ROOT_ONES: Final = {"runAsUser": 0, "runAsNonRoot": False, "seccompProfile": {"type": "Unconfined"}}
LOOSE: Final = {
    **ROOT_ONES,
    "allowPrivilegeEscalation": True,
    "appArmorProfile": {"type": "Unconfined"},
    "capabilities": {"add": ["SYS_PTRACE", "NET_BIND_SERVICE"], "drop": ["KILL"]},
    "procMount": "Unmasked",
    "seLinuxOptions": {"type": "spc_t"},
    "windowsOptions": {"hostProcess": True},
}


def test_a_pods_security_is_ours() -> None:
    context = {
        **ROOT_ONES,
        "fsGroup": 7,
        "sysctls": [{"name": "net.core.somaxconn", "value": "1"}],
        "seLinuxOptions": {"level": "s0"},
        "windowsOptions": {"hostProcess": True},
        "appArmorProfile": {"type": "Unconfined"},
    }
    template = of_pod(securityContext=context, hostUsers=False)
    assert pod(taken(template))["securityContext"] == {**pod(job())["securityContext"], "fsGroup": 7}
    assert overruled(template) == [f"{POD}.securityContext.{key}" for key in context if key != "fsGroup"]
    assert {str(told).partition(": ")[2] for told in form(template).overruled} == {
        "every trainer's Pod must meet the restricted Pod security profile"
    }


def test_the_trainers_security_is_ours_and_ids_are_the_templates() -> None:
    context = {**LOOSE, "readOnlyRootFilesystem": False}
    template = of_trainer(securityContext=context)
    assert trainer(taken(template)) == trainer(job())
    assert set(overruled(template)) == {f"{TRAINER}.securityContext.{key}" for key in context}
    localhost = {"seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"}}
    assert trainer(taken(of_trainer(securityContext=localhost))) == trainer(job()), "no half of theirs is left"
    theirs = {"runAsUser": 7, "runAsGroup": 0, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}}
    assert overruled(of_trainer(securityContext=theirs)) == []
    assert trainer(taken(of_trainer(securityContext=theirs)))["securityContext"].items() >= theirs.items()


@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_other_containers_are_restricted_too(kind: str) -> None:
    def context_of(asked: dict[str, Any]) -> dict[str, Any]:
        template = of_pod(**{kind: [{"name": "other", "image": "other", "securityContext": asked}]})
        (other,) = [c for c in pod(taken(template))[kind] if c["name"] == "other"]
        assert overruled(template) == [f"{POD}.{kind}[other].securityContext.{key}" for key in told]
        found: dict[str, Any] = other["securityContext"]
        return found

    ours = trainer(job())["securityContext"]
    told: list[str] = []
    assert context_of({}) == ours
    strict = {
        "readOnlyRootFilesystem": False,
        "runAsUser": 7,
        "seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"},
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
    }
    assert context_of(strict) == {**ours, **strict}, "as strict as the profile"
    told = list(LOOSE)
    assert context_of(LOOSE) == {**ours, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}
    told = ["seccompProfile"]
    assert context_of({"seccompProfile": {"type": "Localhost"}}) == ours, "of no profile"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ({"spec": {"activeDeadlineSeconds": 5}}, "its clock would run while the Job waits"),
        ({"spec": {"completionMode": "Indexed"}}, "needs its own value"),
        ({"spec": {"backoffLimitPerIndex": 1}}, "needs its own value"),
        ({"spec": {"successPolicy": {"rules": [{"succeededCount": 1}]}}}, "needs its own value"),
        ({"spec": {"managedBy": "a/b"}}, "managed_by decides it"),
        ({"spec": {"podFailurePolicy": {"rules": [{"action": "Count"}]}}}, "needs its own value"),
        ({"spec": {"ttlSecondsAfterFinished": 5}}, "execution.kubernetes.keep_seconds decides it"),
        (of_pod(activeDeadlineSeconds=5), "execution.kubernetes.time_limit_seconds decides it"),
        (of_pod(terminationGracePeriodSeconds=5), "execution.kubernetes.grace_seconds decides it"),
        (of_pod(restartPolicy="OnFailure"), "needs its own value"),
        (of_pod(automountServiceAccountToken=True), "needs its own value"),
        (of_pod(serviceAccount="mine"), "serviceAccountName decides it"),
        (of_pod(nodeName="mine"), "use nodeSelector to choose nodes"),
        (of_pod(priority=5), "priorityClassName decides it"),
        (of_pod(os={"name": "windows"}), "the trainer's image decides it"),
        (of_pod(resources={"limits": {"cpu": "1"}}), "only those of the trainer's container are used"),
        (of_trainer(command=["sh"]), "needs its own value"),
        (of_trainer(image="mine"), "execution.kubernetes.image decides it"),
        (of_trainer(restartPolicy="Always"), "needs its own value"),
        (of_trainer(terminationMessagePath="/x"), "needs its own value"),
        (of_trainer(resources={"limits": {"memory": "1Gi"}}), "execution.kubernetes.memory decides it"),
        (of_trainer(resources={"limits": {"nvidia.com/gpu": 4}}), "execution.kubernetes.gpu_resource decides it"),
        (
            of_trainer(env=[{"name": "AWS_REGION", "valueFrom": {"fieldRef": {"fieldPath": "a"}}}]),
            "needs its own value",
        ),
        (of_trainer(env=[{"name": "AWS_ACCESS_KEY_ID", "value": "mine"}]), "needs its own value"),
        (of_pod(volumes=[{"name": "shm", "persistentVolumeClaim": {"claimName": "a"}}]), "shared_memory decides it"),
        (
            of_trainer(volumeMounts=[{"name": "tmp", "mountPath": "/dev/shm/", "readOnly": True}]),
            "shared_memory decides it",
        ),
        ({"metadata": {"labels": {"metaqnn/run": "a"}}}, "needs its own value"),
        ({"metadata": {"labels": {"metaqnn/other": "a"}}}, "needs its own value"),
        ({"metadata": {"annotations": {"metaqnn/form": "a"}}}, "needs its own value"),
        ({"spec": {"template": {"metadata": {"labels": {"job-name": "a"}}}}}, "needs its own value"),
        (
            {
                "spec": {
                    "template": {
                        "metadata": {
                            "annotations": {"container.apparmor.security.beta.kubernetes.io/trainer": "unconfined"}
                        }
                    }
                }
            },
            "every trainer's Pod must meet",
        ),
    ],
    ids=lambda case: json.dumps(case)[:70],
)
def test_what_is_ours_is_not_obeyed_and_is_told(template: dict[str, Any], reason: str) -> None:
    settings: dict[str, Any] = {"store_secret": "keys", "store_region": "eu-west-1"}
    (told,) = form(template, **settings).overruled
    assert reason in told.reason
    assert str(told) == f"{told.place} is ignored: {told.reason}"
    wanted, plain = taken(template, **settings), job(**settings)
    for metadata in (wanted["metadata"]["annotations"], plain["metadata"]["annotations"]):
        metadata.pop("metaqnn/form")
    wanted["spec"]["template"]["metadata"].pop("annotations", None)
    assert wanted == plain


def test_a_gpu_that_the_settings_do_not_give_is_not_the_templates_to_give() -> None:
    template = of_trainer(resources={"limits": {"nvidia.com/gpu": 1}})
    assert trainer(taken(template, gpus=0)) == trainer(job(gpus=0))
    assert overruled(template, gpus=0) == [f"{TRAINER}.resources.limits.nvidia.com/gpu"]
    assert trainer(dataset_manifest("digits", [], form(template)))["resources"]["limits"].keys() == {"cpu", "memory"}


def test_one_of_several_is_replaced_whole() -> None:
    claim = {"persistentVolumeClaim": {"claimName": "scratch"}}
    volumes = {
        volume.pop("name"): volume for volume in pod(taken(of_pod(volumes=[{"name": "tmp", **claim}])))["volumes"]
    }
    assert volumes == {"shm": {"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}, "tmp": claim}
    source = {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    assert trainer(taken(of_trainer(env=[{"name": "HOME", **source}])))["env"] == [{"name": "HOME", **source}]
    mounted = of_trainer(volumeMounts=[{"name": "shm", "mountPath": "/tmp/", "subPath": "a"}])
    assert [mount["name"] for mount in trainer(taken(mounted))["volumeMounts"]] == ["shm", "shm"]


def test_an_empty_key_is_no_key() -> None:
    empty = {
        "metadata": {"labels": None, "annotations": {"a": None}, "name": None},
        "spec": {
            "template": {
                "spec": {"tolerations": [None], "volumes": None, "containers": [None, {"name": "trainer", "env": None}]}
            }
        },
    }
    wanted = taken(empty)
    assert pod(wanted).pop("tolerations") == []
    assert pod(wanted) == pod(job())
    assert form(empty).mounts() == []


def test_numbers_become_text_where_text_is_meant() -> None:
    text = """
    metadata: {labels: {team: 42, new: true, version: 1.10, zip: 007}, annotations: {budget: 1e3}}
    spec: {template: {spec: {nodeSelector: {gpu: false}, containers: [{
      name: trainer,
      env: [{name: A, value: 5}, {name: B, value: 2.50}],
      resources: {limits: {rdma/hca: 1, ephemeral-storage: 1.5e9}}}]}}}
    """
    wanted = taken(parse_mapping(text, "mine.yaml", as_written=True))
    labels = {"team": "42", "new": "true", "version": "1.10", "zip": "007"}
    assert wanted["metadata"]["labels"].items() >= labels.items()
    assert wanted["metadata"]["annotations"]["budget"] == "1e3"
    assert pod(wanted)["nodeSelector"] == {"gpu": "false"}
    assert [entry["value"] for entry in trainer(wanted)["env"]] == ["5", "2.50", "/tmp"]
    assert trainer(wanted)["resources"]["limits"].items() >= {"rdma/hca": "1", "ephemeral-storage": "1.5e9"}.items()
