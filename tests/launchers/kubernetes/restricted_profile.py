"""Kubernetes' restricted Pod security profile, written from its description and from nothing of ours.

https://kubernetes.io/docs/concepts/security/pod-security-standards/, baseline and restricted, for Pods of Linux.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

VOLUMES: Final = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret")
}
PROFILES: Final = ("RuntimeDefault", "Localhost")


def violations(pod_template: Mapping[str, Any]) -> Iterator[str]:
    """What the profile has against a Pod, one a line."""
    pod = pod_template["spec"]
    annotations = pod_template.get("metadata", {}).get("annotations", {})
    if any(key.startswith("container.apparmor.security.beta.kubernetes.io/") for key in annotations):
        yield "AppArmor by annotation"
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            yield key
    if pod.get("hostUsers") is False and not _of_pod(pod).get("runAsNonRoot"):
        yield "hostUsers without runAsNonRoot"
    for volume in pod.get("volumes", ()):
        if not volume.keys() - {"name"} <= VOLUMES:
            yield f"volume {volume}"
    yield from _context(_of_pod(pod), "pod")
    if _of_pod(pod).get("sysctls"):
        yield "sysctls"
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        for container in pod.get(kind, ()):
            yield from (f"{container['name']}: {problem}" for problem in _container(container, pod))


def _of_pod(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    context: Mapping[str, Any] = pod.get("securityContext", {})
    return context


def _context(context: Mapping[str, Any], what: str) -> Iterator[str]:
    if context.get("runAsUser") == 0:
        yield f"{what} runs as root"
    if "seccompProfile" in context and context["seccompProfile"]["type"] not in PROFILES:
        yield f"{what} seccomp"
    if context.get("appArmorProfile", {}).get("type", "RuntimeDefault") not in PROFILES:
        yield f"{what} AppArmor"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield f"{what} host process"
    se = context.get("seLinuxOptions", {})
    kinds = ("", "container_t", "container_init_t", "container_kvm_t")
    if se.get("type", "") not in kinds or se.get("user") or se.get("role"):
        yield f"{what} SELinux"


def _container(container: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[str]:
    context = container.get("securityContext", {})
    both = {**_of_pod(pod), **context}
    yield from _context(context, "container")
    if context.get("privileged"):
        yield "privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if both.get("runAsNonRoot") is not True:
        yield "runAsNonRoot"
    if both.get("seccompProfile", {}).get("type") not in PROFILES:
        yield "seccompProfile"
    capabilities = context.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", ()) or not set(capabilities.get("add", ())) <= {"NET_BIND_SERVICE"}:
        yield "capabilities"
    if context.get("procMount", "Default") != "Default":
        yield "procMount"
    if any(port.get("hostPort") for port in container.get("ports", ())):
        yield "hostPort"
    lifecycle = container.get("lifecycle", {})
    handlers = [lifecycle.get("postStart"), lifecycle.get("preStop")]
    handlers += [container.get(f"{kind}Probe") for kind in ("liveness", "readiness", "startup")]
    for handler in filter(None, handlers):
        if any(handler.get(action, {}).get("host") for action in ("httpGet", "tcpSocket")):
            yield "a probe of another host"
