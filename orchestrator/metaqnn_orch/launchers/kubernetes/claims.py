"""GPUs by dynamic resource allocation: what a trainer's Pod says to get them. Pure.

A DeviceClass is asked for as an extended resource, which every class is since Kubernetes 1.36: the scheduler makes and
removes the claim. Nothing else is needed, neither an object in the namespace nor a right to make one. A
ResourceClaimTemplate or a ResourceClaim is somebody else's object, and named in the Pod.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from metaqnn_orch.settings.kubernetes import ResourceClaimSettings

CLASS_PREFIX: Final = "deviceclass.resource.kubernetes.io/"


def amounts(claims: Sequence[ResourceClaimSettings]) -> dict[str, str]:
    """The devices of classes, as extended resources."""
    counts: Counter[str] = Counter()
    for claim in claims:
        if claim.device_class is not None:
            counts[f"{CLASS_PREFIX}{claim.device_class}"] += claim.count
    return {name: str(count) for name, count in counts.items()}


def of_pod(claims: Sequence[ResourceClaimSettings]) -> list[dict[str, Any]]:
    """The Pod's resourceClaims."""
    return [{"name": name, key: value} for name, key, value in _named(claims)]


def of_container(claims: Sequence[ResourceClaimSettings]) -> list[dict[str, Any]]:
    """The container's resources.claims."""
    return [{"name": name} for name, _, _ in _named(claims)]


def _named(claims: Sequence[ResourceClaimSettings]) -> Iterator[tuple[str, str, str]]:
    for index, claim in enumerate(claims):
        if claim.template is not None:
            yield f"metaqnn-{index}", "resourceClaimTemplateName", claim.template
        elif claim.claim is not None:
            yield f"metaqnn-{index}", "resourceClaimName", claim.claim
