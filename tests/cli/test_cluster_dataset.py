"""dataset push --in-cluster: the real trainer, started as a Job's Pod would be, and a real S3 server."""

from __future__ import annotations

import sys

import pytest

from tests.chart.conftest import sets
from tests.cli.conftest import Cli, needs_trainer
from tests.launchers.kubernetes.conftest import NAMESPACE, FakeCluster, cluster
from tests.launchers.kubernetes.double.api import Ask, Fault
from tests.launchers.kubernetes.releases import SMALL, install, install_with_store
from tests.seaweedfs import S3Server

__all__ = ["cluster"]
pytestmark = pytest.mark.usefixtures("own_environment")

PUSH = ("dataset", "push", "--in-cluster")


@needs_trainer
def test_a_dataset_made_by_a_job(
    cluster: FakeCluster, cli: Cli, s3_server: S3Server, s3_store_uri: str, forked_trainer: list[str]
) -> None:
    install_with_store(cluster, s3_server, s3_store_uri)
    cluster.controllers.images["trainer:v1"] = forked_trainer
    answer = cli(*PUSH, "digits", "--validation=200", "-o", "json")
    made = answer.json()
    assert (made["name"], made["validation"]) == ("digits", 200)
    assert "is made in namespace trials, by job dataset-digits-" in answer.err
    assert [entry["digest"] for entry in cli("dataset", "list", "-o", "json").json()] == [made["digest"]]
    assert cluster.jobs() == [], "and cleared up"


@needs_trainer
def test_of_two_who_wait_for_it_the_second_finds_it_in_the_store(
    cluster: FakeCluster, cli: Cli, s3_server: S3Server, s3_store_uri: str, forked_trainer: list[str]
) -> None:
    """The first has cleared the Job up before the second has seen its end."""
    install_with_store(cluster, s3_server, s3_store_uri)
    cluster.controllers.images["trainer:v1"] = forked_trainer

    def clear_up(ask: Ask) -> Fault:
        for job in cluster.jobs() if ask.verb == "get" else ():
            if any(one["type"] == "Complete" for one in (job.get("status") or {}).get("conditions", ())):
                cluster.api.objects.remove("jobs", NAMESPACE, job["metadata"]["name"])
        return Fault()

    cluster.api.faults = clear_up
    made = cli(*PUSH, "digits", "--validation=200", "-o", "json").json()
    assert [entry["digest"] for entry in cli("dataset", "list", "-o", "json").json()] == [made["digest"]]
    assert "was ended before the dataset was made" in cli(*PUSH, "digits", "--validation=200").err, "and none is new"


def test_what_cannot_be_made_there(cluster: FakeCluster, cli: Cli, tmp_path: object) -> None:
    install(cluster, *SMALL, *sets(store__bucket="results"))
    assert "which is a folder on this machine" in cli(*PUSH, "digits", f"--source={tmp_path}").refused()
    assert "needs a release" in cli(*PUSH, "digits", f"--store={tmp_path}").refused()
    cluster.controllers.images["trainer:v1"] = [sys.executable, "-c", "import sys; sys.exit('no torch here')"]
    answer = cli(*PUSH, "digits")
    assert answer.code == 6
    assert "the trainer ended with exit code 1 while making dataset digits: no torch here" in answer.err
    assert cluster.jobs() == []


def test_the_job_gets_what_is_set(cluster: FakeCluster, cli: Cli, tmp_path: object) -> None:
    """A LimitRange, a taint, an image of one's own: what start can set, it can, too."""
    install(cluster, *SMALL, *sets(store__bucket="results"))
    cluster.controllers.images["trainer:v2"] = [sys.executable, "-c", "import sys; sys.exit('no torch here')"]
    seen: list[dict[str, object]] = []
    cluster.api.admission = lambda resource, thing: seen.append(thing) if resource == "jobs" else None
    answer = cli(
        *PUSH, "digits", "--set=execution.kubernetes.memory=4Gi", "--set=execution.kubernetes.image=trainer:v2"
    )
    assert "no torch here" in answer.err
    text = str(seen[0])
    assert "'memory': '4Gi'" in text
    assert "'image': 'trainer:v2'" in text
    assert "only execution may be changed here" in cli(*PUSH, "digits", "--set=recipe.epochs=3").refused()
    assert (
        "add --in-cluster" in cli("dataset", "push", "digits", f"--store={tmp_path}", "--set=execution.parallel=3").err
    )
    assert len(seen) == 1
