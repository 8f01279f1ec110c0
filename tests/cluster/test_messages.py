"""What a real cluster says where it refuses, and what the person is told: the cause, and what to change."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kubernetes import client

from metaqnn_orch.launchers.kubernetes.launcher import KubernetesLauncher
from tests.cluster.real import Namespace, needs_cluster, needs_image
from tests.cluster.test_launcher import NOWHERE, World, launched, until_trouble, world
from tests.launchers.harness import until

__all__ = ["world"]
pytestmark = [needs_cluster, needs_image, pytest.mark.timeout(300)]

SAFE = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
POD = {
    "restartPolicy": "Never",
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [{"name": "x", "image": "x", "securityContext": SAFE}],
}


def told(launcher: KubernetesLauncher) -> str:
    """What the launcher says, and the hint of what it met."""
    launcher.observe()
    return launcher.trouble


@contextmanager
def policy(real: Namespace, group: str, resource: str, words: str) -> Iterator[None]:
    """A ValidatingAdmissionPolicy that refuses every creation of a resource in this namespace."""
    api, name = client.AdmissionregistrationV1Api(), f"metaqnn-test-{secrets.token_hex(4)}"
    if "validatingadmissionpolicies" not in {found.name for found in api.get_api_resources().resources}:
        pytest.skip("servers before 1.30 have no such policies")
    rule = {"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]}
    api.create_validating_admission_policy(
        {
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": "false", "message": words}],
            },
        }
    )
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": real.name}}}
    spec = {"policyName": name, "validationActions": ["Deny"], "matchResources": here}
    api.create_validating_admission_policy_binding({"metadata": {"name": name}, "spec": spec})
    try:
        yield
    finally:
        api.delete_validating_admission_policy_binding(name)
        api.delete_validating_admission_policy(name)


@pytest.mark.parametrize(("group", "resource"), [("batch", "jobs"), ("", "pods")])
def test_a_policy_of_the_cluster(world: World, group: str, resource: str) -> None:
    with policy(world.namespace, group, resource, "images come from registry.corp alone"):
        launcher = world.launcher()
        refuse = world.namespace.batch.create_namespaced_job if resource == "jobs" else None

        def is_in_force() -> bool:
            """A new policy is obeyed after a moment."""
            body = {"metadata": {"generateName": "probe-"}, "spec": {"template": {"spec": POD}}}
            try:
                if refuse is not None:
                    refuse(world.namespace.name, body, dry_run="All")
                else:
                    pod = {"metadata": {"generateName": "probe-"}, "spec": POD}
                    world.namespace.core.create_namespaced_pod(world.namespace.name, pod, dry_run="All")
            except client.ApiException as error:
                return "registry.corp" in str(error.body)
            return False

        until(is_in_force)
        request = launched(launcher)
        until_trouble(launcher, request, "images come from registry.corp alone")
        assert "a policy of the cluster refuses it" in told(launcher)
        launcher.cancel(request.trial)


@pytest.mark.parametrize(
    ("limits", "setting"),
    [
        ({"max": {"memory": "128Mi"}}, "execution.kubernetes.memory"),
        ({"min": {"memory": "8Gi"}}, "execution.kubernetes.memory"),
        ({"max": {"cpu": "50m"}}, "execution.kubernetes.cpu"),
    ],
)
def test_a_limit_range(world: World, limits: dict[str, dict[str, str]], setting: str) -> None:
    body = {"metadata": {"name": "bounds"}, "spec": {"limits": [{"type": "Container", **limits}]}}
    world.namespace.core.create_namespaced_limit_range(world.namespace.name, body)
    launcher = world.launcher()
    until_trouble(launcher, launched(launcher), "usage per Container is")
    assert f"change {setting}" in told(launcher)


def test_a_secret_that_is_missing_and_one_that_lacks_a_key(world: World) -> None:
    launcher = world.launcher(**NOWHERE)
    request = launched(launcher)
    until_trouble(launcher, request, 'secret "keys" not found')
    assert "kubectl create secret generic keys" in told(launcher)
    world.namespace.put_secret("keys", AWS_ACCESS_KEY_ID="a")
    until_trouble(launcher, request, "add AWS_SECRET_ACCESS_KEY to secret")
