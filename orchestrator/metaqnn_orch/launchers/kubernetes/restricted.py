"""The restricted Pod security profile, to which every Pod keeps; the trainer's is a little stricter. Pure.

A template's field beyond the profile is left out if the template works without it, and refused otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from metaqnn_orch.launchers.kubernetes.job_schema import Misfit

POD: Final = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "privileged": False,
    "readOnlyRootFilesystem": True,
}

_PROFILE: Final = "the restricted Pod security profile"
_VOLUMES: Final = (
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"),
)
_HOST: Final = ("hostNetwork", "hostPID", "hostIPC")
_GROUPS: Final = ("runAsGroup", "fsGroup", "fsGroupChangePolicy", "supplementalGroups", "supplementalGroupsPolicy")
_SECCOMP: Final = {"RuntimeDefault": {"type"}, "Localhost": {"type", "localhostProfile"}}
_CAPABILITY: Final = "NET_BIND_SERVICE"  # the only capability that the profile allows to add


def refuse_unsafe(pod: Mapping[str, Any]) -> None:
    """Refuse a Pod that the profile forbids.

    Raises:
        Misfit: a field that no restricted Pod has, and without which the rest of the template would be useless.
    """
    place = "spec.template.spec"
    for key in _HOST:
        if pod.get(key):
            raise Misfit(f"{place}.{key} is not allowed: it would let trainers out of their sandbox")
    for volume in pod.get("volumes", ()):
        (source,) = volume.keys() - {"name"}
        here = f"{place}.volumes[{volume['name']}]"
        if source not in _VOLUMES:
            raise Misfit(f"{here} is a {source}, which {_PROFILE} does not allow: one of {', '.join(_VOLUMES)}")
        for projected in (volume.get("projected") or {}).get("sources", ()):
            if "serviceAccountToken" in projected and not projected["serviceAccountToken"].get("audience"):
                raise Misfit(
                    f"{here} is a token for the cluster's API, which trainers may not have; tokens for "
                    "others name an audience"
                )
    for here, container in each_container(pod):
        if container.get("securityContext", {}).get("privileged"):
            raise Misfit(f"{here} is privileged, which {_PROFILE} does not allow")
        for port in container.get("ports", ()):
            if port.get("hostPort") or port.get("hostIP"):
                raise Misfit(f"{here}.ports uses a port of the node, which {_PROFILE} does not allow")
        for mount in container.get("volumeMounts", ()):
            if mount.get("mountPropagation") == "Bidirectional":
                raise Misfit(
                    f"{here}.volumeMounts[{mount['mountPath']}] propagates to the node: only privileged ones may"
                )
        for handler in _handlers(container):
            if any(handler.get(action, {}).get("host") for action in ("httpGet", "tcpSocket")):
                raise Misfit(f"{here} has a probe or hook for another host, which {_PROFILE} does not allow")


def each_container(pod: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every container of a Pod, with its place in the Job."""
    for key in ("initContainers", "containers"):
        for container in pod.get(key, ()):
            yield f"spec.template.spec.{key}[{container['name']}]", container


def _handlers(container: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    lifecycle = container.get("lifecycle", {})
    for holder, keys in (
        (container, ("livenessProbe", "readinessProbe", "startupProbe")),
        (lifecycle, ("postStart", "preStop")),
    ):
        yield from (holder[key] for key in keys if key in holder)


def pod_context(asked: Mapping[str, Any]) -> list[str]:
    """Keys of a Pod's security context that a template must not set: all but the ids of users other than root."""
    return _overruled(asked, POD, _GROUPS)


def trainer_context(asked: Mapping[str, Any]) -> list[str]:
    """Keys of the trainer container's security context that a template must not set."""
    return _overruled(asked, {**POD, **CONTAINER}, ("runAsGroup",))


def _overruled(asked: Mapping[str, Any], ours: Mapping[str, Any], groups: Sequence[str]) -> list[str]:
    return [
        key for key, value in asked.items() if not (key in groups or _is_user(key, value) or value == ours.get(key))
    ]


def other_context(asked: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The whole security context of another container: the mandatory fields, and those of its own that are as strict as
    the profile. Also the keys of its other fields.
    """
    kept = {key: value for key, value in asked.items() if _as_strict(key, value)}
    capabilities = asked.get("capabilities", {})
    added, dropped = capabilities.get("add", []), capabilities.get("drop", ["ALL"])
    overruled = [key for key in asked if key not in kept and key != "capabilities"]
    if set(added) - {_CAPABILITY} or "ALL" not in dropped:
        overruled.append("capabilities")
    more = {"add": [_CAPABILITY]} if _CAPABILITY in added else {}
    return {**CONTAINER, **kept, "capabilities": {"drop": ["ALL"], **more}}, overruled


def _as_strict(key: str, value: Any) -> bool:
    match key:
        case "runAsGroup" | "readOnlyRootFilesystem":  # the profile leaves both to the container
            return True
        case "seccompProfile":
            return bool(_SECCOMP.get(value["type"]) == value.keys())
        case "procMount":
            return bool(value == "Default")
        case "allowPrivilegeEscalation" | "privileged":
            return value is False
        case "runAsNonRoot":
            return value is True
    return _is_user(key, value)


def _is_user(key: str, value: Any) -> bool:
    """Whether it is the id of a user other than root."""
    return key == "runAsUser" and isinstance(value, int) and value > 0
