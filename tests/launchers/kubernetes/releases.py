"""Releases of the chart in the double: rendered by helm, and put where `helm install` would put them."""

from __future__ import annotations

from typing import Any

from tests.chart.conftest import one, sets, template
from tests.launchers.kubernetes.conftest import NAMESPACE, FakeCluster
from tests.seaweedfs import S3Server

SMALL = sets(trainer__gpu__count=0, trainer__image__repository="trainer", trainer__image__tag="v1")


def install(cluster: FakeCluster, *values: str, name: str = "first", namespace: str = NAMESPACE) -> dict[str, Any]:
    """The release's ConfigMap, as it is then."""
    rendered = one(template(*values, name=name), "ConfigMap", f"{name}-metaqnn")
    return cluster.api.objects.create("configmaps", namespace, rendered)


def install_with_store(cluster: FakeCluster, s3: S3Server, uri: str, *values: str, **where: str) -> dict[str, Any]:
    """A release whose results go there, its keys in the secret `keys`."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    cluster.controllers.secrets["keys"] = {"id": s3.access_key, "key": s3.secret_key}
    store = {"bucket": bucket, "prefix": prefix, "endpoint": s3.endpoint, "existingSecret.name": "keys"}
    store |= {"existingSecret.accessKeyIdKey": "id", "existingSecret.secretAccessKeyKey": "key"}
    return install(cluster, *SMALL, *(f"--set=store.{key}={value}" for key, value in store.items()), *values, **where)
