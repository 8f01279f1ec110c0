"""A whole search on a real cluster: real Jobs, real Pods, from manifest to ingested result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.opening import open_store
from tests.cli.conftest import TINY, Cli, cli
from tests.cluster.real import ADDRESS, IMAGE, namespace, needs_address, needs_cluster, needs_image
from tests.seaweedfs import running

__all__ = ["cli"]
pytestmark = [needs_cluster, needs_image, needs_address]


@pytest.mark.timeout(600)
def test_a_search(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path, ADDRESS) as server, namespace() as real:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        real.put_secret("keys", AWS_ACCESS_KEY_ID=server.access_key, AWS_SECRET_ACCESS_KEY=server.secret_key)
        settings = {
            "namespace": real.name,
            "image": IMAGE,
            "gpus": 0,
            "cpu": 0.5,
            "memory": "2Gi",
            "store_secret": "keys",
            "store_endpoint": server.endpoint,
        }
        assignments = [f"--set=execution.kubernetes.{key}={json.dumps(value)}" for key, value in settings.items()]
        uri = f"s3://{server.bucket}/runs"
        answer = cli(
            "start", *TINY, "--run=real", "--store", uri, "--launcher=kubernetes", "--max-trials=2", *assignments
        )
        assert answer.code == 0, answer.err
        stored = [entry.key for entry in open_store(uri).list(keys.run("real"))]
        assert sum(key.endswith("/result.json") for key in stored) == 2
        assert real.batch.list_namespaced_job(real.name).items == []
