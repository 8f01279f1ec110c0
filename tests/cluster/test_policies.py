"""The chart's network policies, where a network plugin enforces them: what a trainer reaches, and what reaches it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.cluster.real import ADDRESS, ORCHESTRATOR, needs_address, needs_cluster, needs_image, needs_orchestrator
from tests.cluster.test_chart import World, world

__all__ = ["world"]
pytestmark = [
    needs_cluster,
    needs_image,
    needs_address,
    needs_orchestrator,
    pytest.mark.timeout(600),
]
_REACHED = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)"


def reaches(world: World, labels: dict[str, str], address: str, port: int) -> bool:
    """Whether a Pod with these labels opens a connection to an address."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}
    container = {
        "name": "probe",
        "image": ORCHESTRATOR,
        "command": ["python3", "-c", _REACHED, address, str(port)],
        "securityContext": {**security, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    name = f"probe-{time.monotonic_ns()}"
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    world.real.core.create_namespaced_pod(world.real.name, {"metadata": {"name": name, "labels": labels}, "spec": spec})
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        pod: Any = world.real.core.read_namespaced_pod(name, world.real.name)
        if pod.status.phase in ("Succeeded", "Failed"):
            return bool(pod.status.phase == "Succeeded")
        time.sleep(0.5)
    raise AssertionError(f"{name} does not end")


def test_trainers_and_pages_reach_the_store_and_nothing_else(world: World) -> None:
    port = int(world.server.endpoint.rpartition(":")[2])
    nobody = {"metaqnn-probe": "denied"}
    denied = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "denied"},
        "spec": {"podSelector": {"matchLabels": nobody}, "policyTypes": ["Egress"], "egress": []},
    }
    world.real.apply(denied)
    assert reaches(world, {}, ADDRESS, port), "a Pod without a policy reaches the store"
    if reaches(world, nobody, ADDRESS, port):
        pytest.skip("nothing here enforces network policies: a Pod that may reach nothing reached the store")
    world.install("--set=dashboard.enabled=true", "--set=dashboard.token.existingSecret=page-token")
    trainer = {"app.kubernetes.io/name": "metaqnn", "app.kubernetes.io/component": "trainer"}
    orchestrator = {**trainer, "app.kubernetes.io/component": "orchestrator", "app.kubernetes.io/instance": "first"}
    pages = {**orchestrator, "app.kubernetes.io/component": "web"}
    api = world.real.core.read_namespaced_service("kubernetes", "default").spec.cluster_ip
    assert reaches(world, trainer, ADDRESS, port)
    assert reaches(world, orchestrator, ADDRESS, port)
    assert reaches(world, orchestrator, api, 443)
    assert reaches(world, pages, ADDRESS, port)
    for kept in (trainer, pages):
        assert not reaches(world, kept, api, 443), "the store has another port"
    assert not reaches(world, trainer, ADDRESS, 22), "nor any other port of its machine"
