"""Whole searches on a real cluster: real Jobs, real Pods, from manifest to ingested result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.opening import open_store
from tests.cli.conftest import TINY, Answer, Cli, cli
from tests.cluster.real import ADDRESS, IMAGE, Namespace, namespace, needs_address, needs_cluster, needs_image
from tests.seaweedfs import S3Server, running

__all__ = ["cli"]
pytestmark = [needs_cluster, needs_image, needs_address, pytest.mark.timeout(600)]

GPU = "example.com/gpu"


class World:
    """A namespace, a store that its Pods reach, and searches there."""

    def __init__(self, real: Namespace, server: S3Server, cli: Cli, folder: Path) -> None:
        self.real = real
        self.uri = f"s3://{server.bucket}/runs"
        self._cli = cli
        self._folder = folder
        self._settings: dict[str, Any] = {
            "namespace": real.name,
            "image": IMAGE,
            "gpus": 0,
            "cpu": 0.5,
            "memory": "2Gi",
            "ephemeral_storage": "0M",  # a node in a container has no disk of its own to offer
            "grace_seconds": 1,
            "store_secret": "keys",
            "store_endpoint": server.endpoint,
        }

    def flags(self, template: dict[str, Any] | None = None, **settings: Any) -> list[str]:
        """What `start` is told about the cluster, and about nothing else."""
        chosen = {**self._settings, **settings}
        if template is not None:
            (self._folder / "template.yaml").write_text(yaml.safe_dump({"spec": {"template": {"spec": template}}}))
            chosen["template"] = str(self._folder / "template.yaml")
        assignments = [f"--set=execution.kubernetes.{key}={json.dumps(value)}" for key, value in chosen.items()]
        return ["--launcher=kubernetes", *assignments]

    def search(self, *more: object, template: dict[str, Any] | None = None, **settings: Any) -> Answer:
        where = ("--store", self.uri, *self.flags(template, **settings))
        return self._cli("start", *TINY, "--run=real", *where, *more)

    def trials(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._cli("trials", "real", "--store", self.uri, "-o", "json").json()
        return found

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self._cli("status", "real", "--store", self.uri, "-o", "json").json()
        return found

    def jobs(self) -> list[Any]:
        return list(self.real.batch.list_namespaced_job(self.real.name).items)


@pytest.fixture
def world(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with running(tmp_path, ADDRESS) as server, namespace() as real:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        real.put_secret("keys", AWS_ACCESS_KEY_ID=server.access_key, AWS_SECRET_ACCESS_KEY=server.secret_key)
        yield World(real, server, cli, tmp_path)


def container(name: str, code: str) -> dict[str, Any]:
    """One that an administrator's template adds, of the only image that is there."""
    return {"name": name, "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["python3", "-c", code]}


def test_a_search(world: World) -> None:
    answer = world.search("--max-trials=2")
    assert answer.code == 0, answer.err
    stored = [entry.key for entry in open_store(world.uri).list(keys.run("real"))]
    assert sum(key.endswith("/result.json") for key in stored) == 2
    assert world.jobs() == []


def test_several_trials_in_a_job(world: World) -> None:
    answer = world.search("--parallel=4", "--max-trials=5", trials_per_job=4)
    assert answer.code == 0, answer.err
    stored = [entry.key for entry in open_store(world.uri).list(keys.run("real"))]
    assert sum(key.endswith("/result.json") for key in stored) == 5
    assert [trial["attempts"] for trial in world.trials()] == [1] * 5
    assert world.status()["lost"] == {}
    assert world.jobs() == []


def test_what_takes_too_long_is_timed_out_and_not_charged(world: World) -> None:
    answer = world.search("--max-trials=1", "--set=recipe={epochs: 10000, chance_factor: 1}", time_limit_seconds=60)
    assert answer.code == 0, answer.err
    assert [(trial["state"], trial["attempts"]) for trial in world.trials()] == [("timed_out", 1)]
    assert world.status()["lost"] == {}


def test_a_gpu_that_does_not_work_is_the_nodes_fault_and_never_trained_without(world: World) -> None:
    world.real.announce(GPU, 4)
    free = ("--set=execution.free_attempts=1", "--set=execution.retries=0")
    answer = world.search(*free, gpus=1, gpu_resource=GPU)
    assert answer.code == 1, answer.err
    assert "the trainer ended with exit code 14 (device)" in answer.err
    assert "on node " in answer.err
    assert world.status()["lost"] == {"no device": 6}
    assert not [entry for entry in open_store(world.uri).list(keys.run("real")) if entry.key.endswith("result.json")]


def test_a_sidecar_that_never_ends_keeps_no_place(world: World) -> None:
    sidecar = container("mesh", "import time; time.sleep(36000)")
    answer = world.search("--max-trials=2", template={"containers": [sidecar]})
    assert answer.code == 0, answer.err
    assert world.status()["lost"] == {}


def test_an_init_container_that_fails_is_named_and_counted(world: World) -> None:
    failing = container("fetch", "raise SystemExit('no such host')")
    answer = world.search("--set=execution.retries=0", template={"initContainers": [failing]})
    assert answer.code == 1, answer.err
    assert "init container fetch ended with exit code 1" in answer.err
    assert world.status()["lost"] == {"crashed": 3}
