"""How much of a GPU a trial holds, in the budget: by claims, by a share that is set, by the resource's name."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from metaqnn_orch.settings.kubernetes import KubernetesSettings, ResourceClaimSettings


@pytest.mark.parametrize(
    ("settings", "cards", "devices"),
    [
        ({}, 1, 1),
        ({"gpus": 4}, 4, 4),
        ({"gpus": 0}, 1, 0),
        ({"gpu_resource": "nvidia.com/mig-1g.10gb"}, 1 / 7, 1),
        ({"gpu_resource": "nvidia.com/mig-3g.40gb", "gpus": 2}, 6 / 7, 2),
        ({"gpu_resource": "nvidia.com/mig-1g.5gb.me"}, 1 / 7, 1),
        ({"gpu_resource": "nvidia.com/mig-2g.12gb"}, 1 / 2, 1),
        ({"gpu_resource": "nvidia.com/mig-1g.24gb", "gpu_share": 0.25}, 0.25, 1),
        ({"gpu_resource": "nvidia.com/gpu.shared"}, 1, 1),
        ({"gpu_resource": "nvidia.com/gpu.shared", "gpu_share": 0.1}, 0.1, 1),
        ({"resource_claims": ({"device_class": "a", "count": 2}, {"template": "b", "share": 0.5})}, 2.5, 3),
        ({"resource_claims": ({"claim": "b", "share": 0.25},), "gpus": 8, "gpu_share": 0.5}, 0.25, 1),
    ],
)
def test_what_a_trial_holds(settings: dict[str, Any], cards: float, devices: int) -> None:
    claims = tuple(ResourceClaimSettings(**one) for one in settings.pop("resource_claims", ()))
    found = KubernetesSettings(image="trainer", resource_claims=claims, **settings)
    assert found.cards == pytest.approx(cards)
    assert found.devices == devices


@pytest.mark.parametrize("names", [{}, {"device_class": "a", "template": "b"}, {"template": "a", "claim": "b"}])
def test_a_claim_names_one_thing(names: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="give one of device_class, template and claim"):
        ResourceClaimSettings(**names)
