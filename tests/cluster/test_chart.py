"""The chart on a real cluster, from install to pull: two trials in Pods of the built image, a search in a Pod, an
upgrade and an uninstall in mid-run.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.conftest import CHART, helm
from tests.cli.conftest import TINY, Answer, Cli, cli, own_environment
from tests.cluster.real import (
    ADDRESS,
    IMAGE,
    ORCHESTRATOR,
    Namespace,
    namespace,
    needs_address,
    needs_cluster,
    needs_image,
    needs_orchestrator,
)
from tests.seaweedfs import S3Server, running

__all__ = ["cli", "own_environment"]
pytestmark = [
    needs_cluster,
    needs_image,
    needs_address,
    needs_orchestrator,
    pytest.mark.usefixtures("own_environment"),
    pytest.mark.timeout(900),
]


class World:
    """A release in a namespace of its own that takes restricted Pods alone, and a store beside the cluster."""

    def __init__(self, real: Namespace, server: S3Server, values: Path) -> None:
        self.real = real
        self.server = server
        self.values = values
        self.release = f"--release={real.name}/first"

    def helm(self, command: str, *more: str) -> str:
        done = helm(*command.split(), f"--namespace={self.real.name}", *more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, *more: str) -> str:
        return self.helm(f"install first {CHART}", "--values", str(self.values), *more)

    def jobs(self) -> list[str]:
        return [job.metadata.name for job in self.real.batch.list_namespaced_job(self.real.name).items]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with running(tmp_path, ADDRESS) as server, namespace() as real:
        for name, value in server.environment().items():
            if name != "AWS_ENDPOINT_URL_S3":  # the release says it
                monkeypatch.setenv(name, value)
        real.put_secret("keys", id=server.access_key, secret=server.secret_key)
        trainer, tag = IMAGE.rsplit(":", 1)
        orchestrator, its_tag = ORCHESTRATOR.rsplit(":", 1)
        secret = {"name": "keys", "accessKeyIdKey": "id", "secretAccessKeyKey": "secret"}
        values = {
            "store": {"bucket": server.bucket, "endpoint": server.endpoint, "existingSecret": secret},
            "trainer": {
                "image": {"repository": trainer, "tag": tag},
                "gpu": {"count": 0},
                "cpu": 0.5,
                "memory": "2Gi",
                "sharedMemory": "64Mi",
                "ephemeralStorage": "0M",  # a node in a container has no disk of its own to offer
            },
            "orchestrator": {
                "image": {"repository": orchestrator, "tag": its_tag},
                "resources": {"requests": {"ephemeral-storage": 0, "cpu": 0}},
            },
        }
        file = tmp_path / "values.json"
        file.write_text(json.dumps(values))
        yield World(real, server, file)


def results(world: World, cli: Cli, run: str) -> int:
    answer = cli("status", run, world.release, "-o", "json")
    return int(answer.json()["unique"]) if answer.code == 0 else 0


def until_results(world: World, cli: Cli, run: str, count: int, seconds: float = 400) -> None:
    deadline = time.monotonic() + seconds
    while results(world, cli, run) < count:
        assert time.monotonic() < deadline, subprocess.getoutput(f"kubectl get all,events -n {world.real.name}")
        time.sleep(1)


def ended(answer: Answer) -> Answer:
    assert answer.code == 0, answer.err
    return answer


def test_from_install_to_pull(world: World, cli: Cli, tmp_path: Path) -> None:
    assert f"metaqnn-orch start cifar10 --run first --release {world.real.name}/first" in world.install()
    tested = world.helm("test first", "--logs", "--timeout=3m")
    assert "✓ store: conditional writes" in tested
    assert "✓ right: create jobs" in tested
    assert "✗" not in tested
    answer = ended(cli("start", *TINY, "--run=outside", "--max-trials=2", world.release))
    assert "(kubernetes)" in answer.err
    assert world.jobs() == [], "what was ingested is cleared up"
    ended(cli("pull", "outside", world.release, "--top=1", "--to", tmp_path / "best"))
    assert len(list((tmp_path / "best").glob("*/weights.safetensors"))) == 1
    ended(cli("pull", "outside", world.release, "--use-cluster-secret", "--to", tmp_path / "again"))


def test_a_search_in_the_cluster_moves_and_is_upgraded(world: World, cli: Cli) -> None:
    world.install()
    # Digits are not in the store: the orchestrator's image has no torch, and has them made by a Job.
    ended(cli("submit", *TINY, "--run=inside", "--max-trials=4", world.release))
    until_results(world, cli, "inside", 1)
    held = cli("start", *TINY, "--run=inside", "--max-trials=4", world.release)
    assert held.code == 4, "two at once exclude each other"
    world.helm(f"upgrade first {CHART}", "--values", str(world.values), "--set=trainer.graceSeconds=30")
    until_results(world, cli, "inside", 2)
    ended(cli("cancel", "inside", world.release, "--keep-jobs"))
    moved = ended(cli("start", *TINY, "--run=inside", "--max-trials=3", world.release))
    assert "3 nets trained" in moved.err
    ended(cli("submit", *TINY, "--run=inside", "--max-trials=4", world.release))
    ended(cli("attach", "inside", world.release))
    assert results(world, cli, "inside") == 4


def test_results_and_a_search_survive_the_release(world: World, cli: Cli, tmp_path: Path) -> None:
    world.install()
    ended(cli("submit", *TINY, "--run=inside", world.release))
    until_results(world, cli, "inside", 2)
    world.helm("uninstall first", "--wait")
    world.install()  # the account is another, and the Pod's token is not its
    ended(cli("attach", "inside", world.release))
    assert results(world, cli, "inside") == 5
    world.helm("uninstall first", "--wait")
    os.environ["AWS_ENDPOINT_URL_S3"] = world.server.endpoint
    place = f"--store=s3://{world.server.bucket}/metaqnn"
    ended(cli("pull", "inside", place, "--top=2", "--to", tmp_path / "best"))
    assert len(list((tmp_path / "best").glob("*/weights.safetensors"))) == 2
