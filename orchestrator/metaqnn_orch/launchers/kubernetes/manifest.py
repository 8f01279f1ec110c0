"""Builds the Job of a trial, or of a bundle of trials: a pure function from requests, attempts and settings to a
batch/v1 Job.

It has three layers, and the later ones win: defaults, the administrator's template, and the fields on which the
orchestrator and the security of the cluster rely.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from metaqnn_orch.errors import BadInput
from metaqnn_orch.launchers.kubernetes import claims, restricted
from metaqnn_orch.launchers.kubernetes.merging import merged
from metaqnn_orch.launchers.kubernetes.names import (
    FORM,
    STORE,
    TRIALS,
    Identity,
    RunRef,
    bundle_id,
    bundle_labels,
    bundle_name,
    dataset_labels,
    job_name,
    labels,
    listed,
)
from metaqnn_orch.launchers.kubernetes.template import CONTAINER, Overruled, check_template, check_whole, obeyed, pod_of
from metaqnn_orch.settings.kubernetes import KubernetesSettings
from metaqnn_trainer.contract.codec import canonical_json
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.contract.result import ExitCode

NET: Final = "metaqnn/net"  # annotation, for people
QUEUE: Final = "kueue.x-k8s.io/queue-name"  # label of the Job
PRIORITY: Final = "kueue.x-k8s.io/priority-class"  # label of the Job

DISK: Final = "ephemeral-storage"
REPLACEMENTS: Final = 3  # interruptions of a Pod by the cluster, within one attempt
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
_EXAMPLE: Final = Identity(RunRef("x", "0" * 32), "0" * 12, 1)
_CA_FOLDER: Final = "/etc/metaqnn/store-ca"
_USER: Final = 65_532  # the user of the trainer's image; a template may name another, but not root
_LONGEST: Final = 2**31 - 1  # seconds that a Pod may run at most, by the API's rule
_NOT_OF_JOBS: Final = ("creates_per_second", "trials_per_job")  # settings of which a single Job says nothing


@dataclass(frozen=True)
class JobForm:
    """Everything in a Job that is the same for all trials of a session."""

    store: str
    """URI of the store that the trainer opens."""
    settings: KubernetesSettings
    template: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            BadInput: they cannot make a Job, or the template is none of a Job.
        """
        if self.settings.image is None:
            raise BadInput(
                "execution.kubernetes.image must be given: the trainer's image, as the cluster can pull it",
                hint="--set execution.kubernetes.image=registry.example/metaqnn-trainer@sha256:...",
            )
        whole = _laid_over(_mandatory(_EXAMPLE, "", self), self)
        check_whole(whole, self.template_name)
        if self.settings.queue_priority and QUEUE not in whole["metadata"]["labels"]:
            raise BadInput(
                "the Jobs have a priority in Kueue, but no queue: only a queue knows priorities",
                hint="--set execution.kubernetes.queue=NAME, the LocalQueue of the namespace",
            )

    @property
    def template_name(self) -> str:
        """Name of the template, in words. Where the settings name no file, it is the release's."""
        return self.settings.template or "the release's Job template"

    @cached_property
    def digest(self) -> str:
        """Digest of the form: two sessions with the same digest make the same Jobs."""
        values = [self.store, self.settings.model_dump(mode="json", exclude={*_NOT_OF_JOBS}), self._checked]
        return hashlib.sha256(canonical_json(values)).hexdigest()[:16]

    @cached_property
    def _checked(self) -> dict[str, Any]:
        return check_template(self.template, self.template_name)

    @cached_property
    def _obeyed(self) -> tuple[dict[str, Any], list[Overruled]]:
        return obeyed(self._checked, _mandatory(_EXAMPLE, "", self), self.settings.gpu_resource)

    @property
    def layer(self) -> dict[str, Any]:
        """The part of the template that is used."""
        return self._obeyed[0]

    @property
    def overruled(self) -> list[Overruled]:
        """The fields of the template that are overruled."""
        return self._obeyed[1]

    def mounts(self) -> list[str]:
        """Where the template mounts volumes into the trainer's container."""
        own = [container for container in pod_of(self.layer).get("containers", ()) if container["name"] == CONTAINER]
        return [mount["mountPath"] for container in own for mount in container.get("volumeMounts", ())]


def manifest(
    request: TrainingRequest, attempt: int, run_uid: str, form: JobForm, avoided: Sequence[str] = ()
) -> dict[str, Any]:
    """The Job of one attempt, as it is sent to the API. `avoided`: nodes to avoid, if there are others."""
    identity = Identity(RunRef(request.run, run_uid), request.trial, attempt)
    body = _laid_over(_mandatory(identity, request.spec.net, form), form)
    return merged(body, _elsewhere(body["spec"]["template"]["spec"], avoided)) if avoided else body


def bundle_manifest(trials: Sequence[Identity], form: JobForm) -> dict[str, Any]:
    """The Job of a bundle: of several trials of one run, which its trainer trains in this order."""
    run, bundle = trials[0].run, bundle_id(trials)
    arguments = [
        "bundle",
        f"--store={form.store}",
        f"--run={run.name}",
        f"--bundle={bundle}",
        f"--limit={form.settings.time_limit_seconds}",
        *(f"--order={one.trial}/{one.attempt}" for one in trials),
    ]
    annotations, names = {FORM: form.digest, TRIALS: listed(trials)}, bundle_labels(run, bundle)
    body = _job(bundle_name(run.name, bundle), names, annotations, arguments, form)
    template = body["spec"]["template"]
    template["metadata"]["annotations"] = {TRIALS: listed(trials)}  # for whoever looks for the log of a trial
    limit = len(trials) * form.settings.time_limit_seconds
    template["spec"]["activeDeadlineSeconds"] = min(limit, _LONGEST)
    return _laid_over(body, form)


def _elsewhere(pod: Mapping[str, Any], nodes: Sequence[str]) -> dict[str, Any]:
    """An affinity for other nodes, in addition to the Pod's own. It is a preference and no rule: a cluster may have no
    other node.
    """
    preferred = ((pod.get("affinity") or {}).get("nodeAffinity") or {}).get(_PREFERRED) or ()
    term = {"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in nodes]}
    of_nodes = {_PREFERRED: [*preferred, {"weight": 100, "preference": term}]}
    return {"spec": {"template": {"spec": {"affinity": {"nodeAffinity": of_nodes}}}}}


def dataset_manifest(name: str, options: Sequence[str], form: JobForm) -> dict[str, Any]:
    """The Job that makes a dataset object: it has the trainer's image and no GPU. The same name and options give the
    same Job name.
    """
    form = replace(form, settings=form.settings.model_copy(update={"gpus": 0, "resource_claims": ()}))
    arguments = ["dataset", name, f"--store={form.store}", *options]
    digest = hashlib.sha256(canonical_json([arguments, form.digest])).hexdigest()[:8]
    mandatory = _job(f"dataset-{name}-{digest}", dataset_labels(name), {STORE: form.store}, arguments, form)
    return _laid_over(mandatory, form)


def _laid_over(mandatory: dict[str, Any], form: JobForm) -> dict[str, Any]:
    """The three layers as one Job."""
    whole: dict[str, Any] = merged(merged(_defaults(form), form.layer), mandatory)
    return whole


def _defaults(form: JobForm) -> dict[str, Any]:
    settings = form.settings
    own = [container for container in pod_of(form.layer).get("containers", ()) if container["name"] == CONTAINER]
    said = [name for container in own for amounts in container.get("resources", {}).values() for name in amounts]
    disk = {} if DISK in said else {"resources": {"requests": {DISK: settings.ephemeral_storage}}}
    identity = {"runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER}
    return {
        "spec": {
            "template": {
                "spec": {
                    "securityContext": identity,
                    "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": settings.ephemeral_storage}}],
                    "containers": [
                        {
                            "name": CONTAINER,
                            "env": [{"name": "HOME", "value": "/tmp"}],
                            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                            **disk,
                        }
                    ],
                    **({"serviceAccountName": settings.service_account} if settings.service_account else {}),
                }
            },
        }
    }


def _mandatory(identity: Identity, net: str, form: JobForm) -> dict[str, Any]:
    order = {"store": form.store, "run": identity.run.name, "trial": identity.trial, "attempt": str(identity.attempt)}
    arguments = ["train", *(f"--{key}={value}" for key, value in order.items())]
    return _job(job_name(identity), labels(identity), {FORM: form.digest, NET: net}, arguments, form)


def _job(
    name: str, own_labels: dict[str, str], annotations: dict[str, str], arguments: list[str], form: JobForm
) -> dict[str, Any]:
    settings = form.settings
    queued = {key: value for key, value in ((QUEUE, settings.queue), (PRIORITY, settings.queue_priority)) if value}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {**own_labels, **queued}, "annotations": annotations},
        "spec": {
            **({"managedBy": settings.managed_by} if settings.managed_by else {}),
            "completions": 1,
            "parallelism": 1,
            # The orchestrator counts attempts, because only it knows whether there is a result all the same. But Pods
            # that the cluster itself interrupted are replaced by the cluster, even without an orchestrator: a few
            # times, each time after a longer pause.
            "backoffLimit": REPLACEMENTS,
            "podFailurePolicy": {
                "rules": [
                    {"action": "Count", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    # This rule leaves the exit code in the Job's condition, for when the Pod is gone.
                    _on_exit("FailJob", "NotIn", [0, ExitCode.PREEMPTED], containerName=CONTAINER),
                    # A trainer that was asked to stop goes on in the same Job, whatever its sidecars said: a queue
                    # that evicts a Job suspends it, and keeps its place. The Job controller does not count Pods that
                    # it ends itself for that, but a rule may still fail the Job for them.
                    _on_exit("Count", "In", [ExitCode.PREEMPTED], containerName=CONTAINER),
                    _on_exit("FailJob", "NotIn", [0, ExitCode.PREEMPTED]),
                ]
            },
            # Never two trainers of one attempt. Servers before 1.29 drop the field.
            "podReplacementPolicy": "Failed",
            "ttlSecondsAfterFinished": settings.keep_seconds,
            "template": {
                "metadata": {"labels": own_labels},
                "spec": {
                    "restartPolicy": "Never",
                    # The limit is the Pod's and not the Job's, whose clock also runs while it waits for a node.
                    "activeDeadlineSeconds": settings.time_limit_seconds,
                    "terminationGracePeriodSeconds": settings.grace_seconds,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": restricted.POD,
                    "volumes": [
                        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": settings.shared_memory}},
                        *ca_volumes(settings),
                    ],
                    "containers": [_container(arguments, form)],
                    **({"resourceClaims": claimed} if (claimed := claims.of_pod(settings.resource_claims)) else {}),
                },
            },
        },
    }


def _on_exit(action: str, operator: str, codes: Sequence[int], **container: str) -> dict[str, Any]:
    """A rule about exit codes. Servers before 1.29 ask for a list of conditions, even an empty one."""
    on_exit = {**container, "operator": operator, "values": [int(code) for code in codes]}
    return {"action": action, "onExitCodes": on_exit, "onPodConditions": []}


def _container(arguments: list[str], form: JobForm) -> dict[str, Any]:
    settings = form.settings
    amounts = {"cpu": f"{settings.cpu:g}", "memory": settings.memory}
    amounts |= claims.amounts(settings.resource_claims)
    if settings.gpus and not settings.resource_claims:
        amounts[settings.gpu_resource] = str(settings.gpus)
    resources: dict[str, Any] = {"requests": amounts, "limits": amounts}
    if claimed := claims.of_container(settings.resource_claims):
        resources["claims"] = claimed
    return {
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        # The image's entry point is the trainer.
        "args": arguments,
        "env": store_environment(settings),
        "resources": resources,
        "securityContext": restricted.CONTAINER,
        # The end of the trainer's log stays in its Pod's status.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}, *ca_mounts(settings)],
    }


def store_environment(settings: KubernetesSettings) -> list[dict[str, Any]]:
    """The variables by which a container of a Pod finds the store."""
    style, checksums = settings.store_addressing_style, settings.store_checksums
    plain = {
        "AWS_ENDPOINT_URL_S3": settings.store_endpoint,
        "AWS_REGION": settings.store_region,
        "AWS_CA_BUNDLE": settings.store_ca and f"{_CA_FOLDER}/ca.crt",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "" if checksums == "auto" else checksums,
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "" if checksums == "auto" else checksums,
        "METAQNN_S3_ADDRESSING_STYLE": "" if style == "auto" else style,
    }
    environment: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in plain.items() if value]
    if settings.store_secret:
        for what, key in settings.store_secret_keys:
            reference: dict[str, Any] = {"name": settings.store_secret, "key": key}
            if what == "session_token":
                reference["optional"] = True
            environment.append({"name": f"AWS_{what.upper()}", "valueFrom": {"secretKeyRef": reference}})
    return environment


def ca_volumes(settings: KubernetesSettings) -> list[dict[str, Any]]:
    """The volume with the store's certificates, if it has its own."""
    return [{"name": "store-ca", "configMap": {"name": settings.store_ca}}] if settings.store_ca else []


def ca_mounts(settings: KubernetesSettings) -> list[dict[str, Any]]:
    """Where a container mounts this volume."""
    return [{"name": "store-ca", "mountPath": _CA_FOLDER, "readOnly": True}] if settings.store_ca else []
