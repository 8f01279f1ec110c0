"""An administrator's Job template: what it may say, and which of its fields are used. Pure.

Every field of a Job is known (job_schema.py). Some fields belong to the orchestrator, here and in manifest.py: a
template's value for them is not used, and the user is told. Fields that no Pod may have are refused or left out
(restricted.py). Every other field is the template's.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from metaqnn_orch.errors import BadInput, one_line
from metaqnn_orch.launchers.kubernetes.job_schema import Misfit, conform
from metaqnn_orch.launchers.kubernetes.merging import differences
from metaqnn_orch.launchers.kubernetes.quantities import contradiction
from metaqnn_orch.launchers.kubernetes.restricted import (
    each_container,
    other_context,
    pod_context,
    refuse_unsafe,
    trainer_context,
)

CONTAINER: Final = "trainer"

_TRAINER: Final = f"spec.template.spec.containers[{CONTAINER}]"
_RELIES: Final = "the orchestrator needs its own value"
_SECURITY: Final = "every trainer's Pod must meet the restricted Pod security profile"
_SETTING: Final = "execution.kubernetes.{} decides it"

# Fields that the orchestrator does not set, but that a template must not set either.
_OURS: Final[Mapping[str, Mapping[str, str]]] = {
    "spec": {
        "activeDeadlineSeconds": "its clock would run while the Job waits for a node; "
        + _SETTING.format("time_limit_seconds"),
        "managedBy": _SETTING.format("managed_by"),
        **dict.fromkeys(("backoffLimitPerIndex", "completionMode", "manualSelector"), _RELIES),
        **dict.fromkeys(("maxFailedIndexes", "selector", "successPolicy"), _RELIES),
    },
    "spec.template.spec": {
        "nodeName": "the scheduler would be bypassed; use nodeSelector to choose nodes",
        "os": "the trainer's image decides it",
        "overhead": "the runtime class decides it",
        "priority": "priorityClassName decides it",
        "resources": "only those of the trainer's container are used",
        "serviceAccount": "serviceAccountName decides it",
    },
    _TRAINER: {
        **dict.fromkeys(("command", "resizePolicy", "restartPolicy", "restartPolicyRules", "stdin"), _RELIES),
        **dict.fromkeys(("stdinOnce", "terminationMessagePath", "tty"), _RELIES),
    },
}
# Labels and annotations.
_OUR_PREFIXES: Final = ("metaqnn/", "batch.kubernetes.io/")
_OUR_KEYS: Final = ("job-name", "controller-uid")
_SECURITY_PREFIXES: Final = ("container.apparmor.security.beta.kubernetes.io/", "seccomp.security.alpha.kubernetes.io/")

_OF_RUNNING: Final = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")

# The settings that determine the orchestrator's fields.
_SETTINGS: Final = {
    "image": "image",
    "imagePullPolicy": "image_pull_policy",
    "activeDeadlineSeconds": "time_limit_seconds",
    "terminationGracePeriodSeconds": "grace_seconds",
    "ttlSecondsAfterFinished": "keep_seconds",
    "cpu": "cpu",
    "memory": "memory",
    "kueue.x-k8s.io/queue-name": "queue",
    "kueue.x-k8s.io/priority-class": "queue_priority",
    "volumes[shm]": "shared_memory",
    "volumeMounts[/dev/shm]": "shared_memory",
}


class Overruled(NamedTuple):
    """A field of a template that is not used."""

    place: str
    """Dotted place of the field."""
    reason: str

    def __str__(self) -> str:
        return f"{self.place} is ignored: {self.reason}"


def check_template(template: Mapping[str, Any], what: str, own: str = CONTAINER) -> dict[str, Any]:
    """The template as Kubernetes reads it. `own`: the container that is extended, and may have no image.

    Raises:
        BadInput: it is no template of a Job; one line with the place.
    """
    try:
        kind, version = template.get("kind") or "Job", template.get("apiVersion") or "batch/v1"
        if (version, kind) != ("batch/v1", "Job"):
            raise Misfit(f"is a {version} {kind}, not a batch/v1 Job")
        checked = conform(template)
        pod = pod_of(checked)
        for place, container in each_container(pod):
            if not container.get("image") and not (container["name"] == own and ".containers[" in place):
                raise Misfit(
                    f"{place} has no image; the trainer's container must be named {own!r}, in "
                    "spec.template.spec.containers"
                )
        refuse_unsafe(pod)
    except Misfit as error:
        raise _refused(error, what) from None
    return checked


def check_whole(job: Mapping[str, Any], what: str) -> None:
    """Check what only shows when a template has been merged with the orchestrator's fields.

    Raises:
        BadInput: the API would refuse the Job; one line with the place.
    """
    pod = pod_of(job)
    volumes, names = {volume["name"] for volume in pod.get("volumes", ())}, set()
    for place, container in each_container(pod):
        try:
            if container["name"] in names:
                raise Misfit(f"{place}: another container has that name")
            names.add(container["name"])
            for key, at in (("volumeMounts", "mountPath"), ("volumeDevices", "devicePath")):
                for item in container.get(key, ()):
                    if item["name"] not in volumes:
                        there = ", ".join(sorted(volumes))
                        raise Misfit(
                            f"{place}.{key}[{item[at]}]: there is no volume {item['name']!r}; there are {there}"
                        )
            lasts = ".containers[" in place or container.get("restartPolicy") == "Always"
            if only := [key for key in _OF_RUNNING if key in container and not lasts]:
                raise Misfit(f"{place}.{only[0]} is not possible in a container that ends before the trainer begins")
            amounts = container.get("resources", {})
            if wrong := contradiction(amounts.get("requests", {}), amounts.get("limits", {})):
                raise Misfit(f"{place}.resources: {wrong}")
        except Misfit as error:
            raise _refused(error, what) from None


def _refused(error: Misfit, what: str) -> BadInput:
    return BadInput(
        one_line(f"{what}: {error}"),
        hint="start from k8s/job-template.yaml; the template of a release is made from the chart's values",
    )


def obeyed(
    template: Mapping[str, Any], mandatory: Mapping[str, Any], gpu_resource: str
) -> tuple[dict[str, Any], list[Overruled]]:
    """The part of a checked template that is used, and the fields that are not."""
    body = copy.deepcopy(dict(template))
    found: list[Overruled] = []
    for place, holder, reasons in _ours(body, mandatory, gpu_resource):
        found += [Overruled(f"{place}.{key}", reasons[key]) for key in holder if key in reasons]
        for key in reasons:
            holder.pop(key, None)
    settings = {**_SETTINGS, gpu_resource: "gpu_resource"}
    for place, key in differences(body, mandatory):
        found.append(Overruled(place, _SETTING.format(settings[key]) if key in settings else _RELIES))
    return body, found


def _ours(
    body: dict[str, Any], mandatory: Mapping[str, Any], gpu_resource: str
) -> Iterator[tuple[str, dict[str, Any], Mapping[str, str]]]:
    """Mappings of the template, with a reason for each field in them that the template must not set. Other containers
    get a security context on the way.
    """
    pod = pod_of(body)
    yield "spec", body.get("spec", {}), _OURS["spec"]
    yield "spec.template.spec", pod, _OURS["spec.template.spec"]
    for place, holder in (("metadata", body), ("spec.template.metadata", body.get("spec", {}).get("template", {}))):
        for field, texts in holder.get("metadata", {}).items():
            ours = {key: _RELIES for key in texts if key.startswith(_OUR_PREFIXES) or key in _OUR_KEYS}
            secure = {key: _SECURITY for key in texts if key.startswith(_SECURITY_PREFIXES)}
            yield f"{place}.{field}", texts, {**ours, **secure}
    context = pod.get("securityContext", {})
    yield "spec.template.spec.securityContext", context, dict.fromkeys(pod_context(context), _SECURITY)
    for place, container in each_container(pod):
        context = container.setdefault("securityContext", {})
        if place != _TRAINER:
            strict, looser = other_context(context)
            yield f"{place}.securityContext", context, dict.fromkeys(looser, _SECURITY)
            container["securityContext"] = strict
            continue
        yield place, container, _OURS[_TRAINER]
        yield f"{place}.securityContext", context, dict.fromkeys(trainer_context(context), _SECURITY)
        (own,) = pod_of(mandatory)["containers"]
        if gpu_resource not in own["resources"]["limits"]:
            for key, amounts in container.get("resources", {}).items():
                if key in ("limits", "requests"):
                    yield f"{place}.resources.{key}", amounts, {gpu_resource: _SETTING.format("gpus")}


def pod_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """The Pod's spec in a Job or a template; an empty one where there is none."""
    pod: dict[str, Any] = job.get("spec", {}).get("template", {}).get("spec", {})
    return pod
