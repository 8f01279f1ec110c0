"""doctor's part about dynamic resource allocation: whether what the Jobs' claims name is there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from metaqnn_orch.application.doctor.diagnosis import Diagnosis, Mark, looked_up, tried
from metaqnn_orch.settings.kubernetes import KubernetesSettings

GROUP: Final = "resource.k8s.io"
BY_CLASS: Final = (1, 36)  # from here on, every DeviceClass is an extended resource

_NOT_SERVED: Final = "dynamic resource allocation needs Kubernetes 1.34 or newer, or another version switched on"


def examine_claims(cluster: Any, settings: KubernetesSettings, server: tuple[int, int]) -> Iterator[Diagnosis]:
    """Everything that execution.kubernetes.resource_claims names. `server`: the server's version."""
    if not settings.resource_claims:
        return
    what = f"cluster: {GROUP}"
    served = tried(what, lambda: _served(what, cluster.served_version(GROUP)))
    yield served
    if served.mark is Mark.BAD:
        return
    for claim in settings.resource_claims:
        share = "" if claim.share == 1 else f", {claim.share:g} of each"
        seen = f"{claim.count} for each trial{share}"
        if claim.device_class is not None:
            yield _class(cluster, claim.device_class, seen, server)
            continue
        kind, name = ("template", claim.template) if claim.template is not None else ("claim", claim.claim)
        plural = "resourceclaimtemplates" if kind == "template" else "resourceclaims"
        yield looked_up(
            f"resource {kind} {name}",
            partial(cluster.look_up_in, GROUP, plural, name),
            partial(_counted, seen),
            f"make it in namespace {cluster.namespace}, or name another in execution.kubernetes.resource_claims",
        )


def _served(what: str, version: str) -> str | Diagnosis:
    return version or Diagnosis(what, Mark.BAD, "the server does not serve it", _NOT_SERVED)


def _counted(seen: str, found: Any) -> str:
    return seen


def _class(cluster: Any, name: str, seen: str, server: tuple[int, int]) -> Diagnosis:
    what = f"device class {name}"
    if server < BY_CLASS:
        fix = "make a ResourceClaimTemplate that asks for the class, and name it in resource_claims as template"
        return Diagnosis(what, Mark.BAD, "a trial can ask for it by its name from Kubernetes 1.36 on", fix)
    return looked_up(
        what,
        partial(cluster.look_up_in, GROUP, "deviceclasses", name, everywhere=True),
        partial(_counted, seen),
        "is the driver installed? `kubectl get deviceclasses` lists the classes",
    )
