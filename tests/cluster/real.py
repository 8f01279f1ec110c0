"""A namespace of a real cluster: the one that KUBECONFIG points to.

CLUSTER_IMAGE    the trainer's image, as the cluster can pull it or has it already
CLUSTER_ADDRESS  under which Pods reach this machine, for a store that runs beside the tests
CLUSTER_ORCHESTRATOR    the orchestrator's image, for searches in Pods
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes import client, config

from tests.helm import program

IMAGE = os.environ.get("CLUSTER_IMAGE", "")
ADDRESS = os.environ.get("CLUSTER_ADDRESS", "")
ORCHESTRATOR = os.environ.get("CLUSTER_ORCHESTRATOR", "")

needs_cluster = pytest.mark.skipif("KUBECONFIG" not in os.environ, reason="KUBECONFIG names no cluster")
needs_image = pytest.mark.skipif(not IMAGE, reason="CLUSTER_IMAGE names no trainer's image")
needs_address = pytest.mark.skipif(not ADDRESS, reason="CLUSTER_ADDRESS says not how Pods reach us")
needs_orchestrator = pytest.mark.skipif(not ORCHESTRATOR, reason="CLUSTER_ORCHESTRATOR names no orchestrator's image")


class Namespace:
    """One that is new, refuses everything that is not restricted, and is gone when the test is."""

    def __init__(self) -> None:
        config.load_kube_config()
        self.core = client.CoreV1Api()
        self.batch = client.BatchV1Api()
        self.name = f"metaqnn-test-{secrets.token_hex(4)}"

    def put_secret(self, name: str, **values: str) -> None:
        self.core.create_namespaced_secret(self.name, {"metadata": {"name": name}, "stringData": values})

    def put_quota(self, **hard: str) -> None:
        self.core.create_namespaced_resource_quota(self.name, {"metadata": {"name": "quota"}, "spec": {"hard": hard}})

    def drop_quota(self) -> None:
        self.core.delete_namespaced_resource_quota("quota", self.name)

    def announce(self, resource: str, count: int) -> None:
        """Have every node offer an extended resource, whether there is anything behind it or not."""
        patch = [{"op": "add", "path": f"/status/capacity/{resource.replace('/', '~1')}", "value": str(count)}]
        for node in self.core.list_node().items:
            self.core.patch_node_status(node.metadata.name, patch)

    def pods(self) -> list[Any]:
        return list(self.core.list_namespaced_pod(self.name).items)

    def apply(self, thing: Mapping[str, Any]) -> None:
        """Create or change an object of any kind."""
        apply = [str(program("kubectl")), "apply", "--namespace", self.name, "-f", "-"]
        subprocess.run(apply, input=json.dumps(thing), text=True, check=True, capture_output=True)

    def evict(self, pod: str) -> None:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": self.name}}
        self.core.create_namespaced_pod_eviction(pod, self.name, body)


@contextmanager
def namespace() -> Iterator[Namespace]:
    new = Namespace()
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    new.core.create_namespace({"metadata": {"name": new.name, "labels": labels}})
    try:
        yield new
    finally:
        new.core.delete_namespace(new.name)
        client.ApiClient().rest_client.pool_manager.clear()
        new.core.api_client.rest_client.pool_manager.clear()
        new.batch.api_client.rest_client.pool_manager.clear()
