"""The command line, a cluster and a real S3 server: the real trainer, started as a Pod's container would be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.opening import open_store
from tests.cli.conftest import TINY, Cli, cli, needs_trainer
from tests.launchers.kubernetes.conftest import FakeCluster
from tests.launchers.kubernetes.double.objects import Refused
from tests.seaweedfs import S3Server

__all__ = ["cli"]


@needs_trainer
@pytest.mark.parametrize("together", [1, 2])
def test_a_search_with_jobs_and_a_bucket(
    cluster: FakeCluster,
    cli: Cli,
    s3_server: S3Server,
    s3_store_uri: str,
    monkeypatch: pytest.MonkeyPatch,
    together: int,
    forked_trainer: list[str],
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    cluster.controllers.images["trainer"] = forked_trainer
    cluster.controllers.secrets["keys"] = {
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
    }
    settings = {"image": "trainer", "gpus": 0, "store_secret": "keys", "store_endpoint": s3_server.endpoint}
    settings["trials_per_job"] = together
    assignments = [f"--set=execution.kubernetes.{key}={json.dumps(value)}" for key, value in settings.items()]
    where = ("--run=first", "--store", s3_store_uri)
    foreseen = cli("start", *TINY, *where, "--launcher=kubernetes", "--parallel=2", "--dry-run", *assignments)
    jobs = "5 Jobs, 2 at a time" if together == 1 else "about 3 Jobs of 2 nets each, 1 at a time"
    assert f"{jobs}, and " in foreseen.out
    answer = cli("start", *TINY, *where, "--launcher=kubernetes", "--parallel=2", "--max-trials=2", *assignments)
    assert answer.code == 0, answer.err
    assert "2 at a time (kubernetes)" in answer.err
    store = open_store(s3_store_uri)
    results = [entry.key for entry in store.list(keys.run("first")) if entry.key.endswith("/result.json")]
    assert len(results) == 2
    assert cluster.jobs() == [], "what was ingested is cleared up"
    assert cluster.api.asks("create") == 2 // together
    assert [*store.list(keys.bundles("first"))] == []
    again = cli("start", *TINY, *where, "--launcher=kubernetes", "--max-trials=2", *assignments)
    assert "complete, nothing is left to do" in again.err


def test_what_pods_cannot_reach_is_refused_before_anything_is_created(
    cluster: FakeCluster, cli: Cli, tmp_path: Path, s3_store_uri: str
) -> None:
    start = ("start", "digits", "--run=first", "--launcher=kubernetes")
    image = "--set=execution.kubernetes.image=trainer"
    assert "image must be given" in cli(*start, "--store", s3_store_uri).refused()
    assert "and Pods cannot see it" in cli(*start, "--store", tmp_path / "runs", image).refused()
    assert "set execution.kubernetes.store_endpoint" in cli(*start, "--store", s3_store_uri, image).refused()
    cluster.api.denied = {("create", "jobs")}
    endpoint = "--set=execution.kubernetes.store_endpoint=http://store:1"
    assert "may not create Jobs" in cli(*start, "--store", s3_store_uri, image, endpoint).refused(6)
    assert list(open_store(s3_store_uri).list("")) == []
    assert cluster.jobs() == []
    assert not (tmp_path / "runs").exists()


def test_a_directory_that_the_template_mounts_is_a_store(cluster: FakeCluster, cli: Cli, tmp_path: Path) -> None:
    mount = {"name": "trainer", "volumeMounts": [{"name": "runs", "mountPath": str(tmp_path)}]}
    volume = {"name": "runs", "persistentVolumeClaim": {"claimName": "runs"}}
    pod = {"containers": [mount], "volumes": [volume], "restartPolicy": "Always"}
    template = tmp_path / "template.yaml"
    template.write_text(json.dumps({"spec": {"template": {"spec": pod}}}))
    manifest = ("manifest", "[C(4,3,1), SM(10)]", "--space=digits", "--run=first", "--store", tmp_path / "runs")
    sets = ("--set=execution.kubernetes.image=trainer", f"--set=execution.kubernetes.template={template}")
    answer = cli(*manifest, *sets, "-o", "json")
    assert volume in answer.json()["spec"]["template"]["spec"]["volumes"]
    assert "spec.template.spec.restartPolicy is ignored" in answer.err
    assert "kind: Job" in cli(*manifest, *sets).out
    assert cluster.api.asked == [], "no cluster is asked"
    assert (
        "cannot read"
        in cli(*manifest, "--set=execution.kubernetes.image=i", "--set=execution.kubernetes.template=/no").refused()
    )


def test_what_the_servers_schema_refuses_is_refused_before_anything_is_created(
    cluster: FakeCluster, cli: Cli, tmp_path: Path, s3_store_uri: str, s3_endpoint: str
) -> None:
    template = tmp_path / "job.yaml"
    template.write_text("spec: {template: {spec: {tolerations: [{key: gpu, operator: Exists, value: x}]}}}")
    words = "spec.template.spec.tolerations[0].operator: Invalid value: value must be empty when `operator` is 'Exists'"
    cluster.api.admission = lambda resource, thing: Refused(422, "Invalid", f"Job.batch is invalid: {words}")
    settings = {"image": "trainer", "store_endpoint": s3_endpoint, "template": str(template)}
    assignments = [f"--set=execution.kubernetes.{key}={json.dumps(value)}" for key, value in settings.items()]
    answer = cli("start", *TINY, "--run=first", "--store", s3_store_uri, "--launcher=kubernetes", *assignments)
    assert answer.code == 2
    assert str(template) in answer.err
    assert words in answer.err
    assert cluster.api.asks("create") == 0
