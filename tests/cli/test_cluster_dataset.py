"""dataset push --in-cluster: the real trainer, started as a Job's Pod would be, and a real S3 server."""

from __future__ import annotations

import sys

import pytest

from tests.chart.conftest import sets
from tests.cli.conftest import Cli, needs_trainer
from tests.launchers.kubernetes.conftest import FakeCluster, cluster
from tests.launchers.kubernetes.releases import SMALL, install, install_with_store
from tests.seaweedfs import S3Server

__all__ = ["cluster"]
pytestmark = pytest.mark.usefixtures("own_environment")

PUSH = ("dataset", "push", "--in-cluster")


@needs_trainer
def test_a_dataset_made_by_a_job(cluster: FakeCluster, cli: Cli, s3_server: S3Server, s3_store_uri: str) -> None:
    install_with_store(cluster, s3_server, s3_store_uri)
    cluster.controllers.images["trainer:v1"] = [sys.executable, "-m", "metaqnn_trainer"]
    answer = cli(*PUSH, "digits", "--validation=200", "-o", "json")
    made = answer.json()
    assert (made["name"], made["validation"]) == ("digits", 200)
    assert "is made in namespace trials, by job dataset-digits-" in answer.err
    assert [entry["digest"] for entry in cli("dataset", "list", "-o", "json").json()] == [made["digest"]]
    assert cluster.jobs() == [], "and cleared up"


def test_what_cannot_be_made_there(cluster: FakeCluster, cli: Cli, tmp_path: object) -> None:
    install(cluster, *SMALL, *sets(store__bucket="results"))
    assert "which is a folder on this machine" in cli(*PUSH, "digits", f"--source={tmp_path}").refused()
    assert "needs a release" in cli(*PUSH, "digits", f"--store={tmp_path}").refused()
    cluster.controllers.images["trainer:v1"] = [sys.executable, "-c", "import sys; sys.exit('no torch here')"]
    answer = cli(*PUSH, "digits")
    assert answer.code == 6
    assert "the trainer ended with exit code 1 while making dataset digits: no torch here" in answer.err
    assert cluster.jobs() == []
