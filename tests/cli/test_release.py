"""A kubeconfig is enough: the release says the rest. The chart is the real one, rendered by helm."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from metaqnn_trainer import __version__
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.opening import open_store
from tests.chart.conftest import sets
from tests.cli.conftest import TINY, Cli, needs_trainer
from tests.control.world import Session, settings
from tests.launchers.kubernetes.conftest import FakeCluster, cluster
from tests.launchers.kubernetes.releases import SMALL, install, install_with_store
from tests.seaweedfs import S3Server

__all__ = ["cluster"]
pytestmark = pytest.mark.usefixtures("own_environment")

NET = "[C(4,3,1), SM(10)]"
SHOW = ("config", "show", "digits", "-o", "json")


@needs_trainer
def test_a_search_that_is_told_nothing(
    cluster: FakeCluster,
    cli: Cli,
    s3_server: S3Server,
    s3_store_uri: str,
    monkeypatch: pytest.MonkeyPatch,
    forked_trainer: list[str],
) -> None:
    install_with_store(cluster, s3_server, s3_store_uri)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    cluster.controllers.images["trainer:v1"] = forked_trainer
    answer = cli("start", *TINY, "--run=told-nothing", "--max-trials=1")
    assert answer.code == 0, answer.err
    assert "1 at a time (kubernetes)" in answer.err
    assert "pull told-nothing --release trials/first --top 3" in answer.err, "and so does the next command"
    stored = [entry.key for entry in open_store(s3_store_uri).list(keys.run("told-nothing"))]
    assert sum(key.endswith("/result.json") for key in stored) == 1
    assert cli("status", "told-nothing", "-o", "json").json()["unique"] == 1


def test_a_search_with_keys_that_the_store_does_not_know_is_wrong_input(
    cluster: FakeCluster, cli: Cli, s3_server: S3Server, s3_store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the cluster it is not tried again: its Job counts the exit code 2 as final."""
    install_with_store(cluster, s3_server, s3_store_uri)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mistyped")
    assert "SignatureDoesNotMatch" in cli("start", *TINY, "--run=first").refused(2)
    assert "SignatureDoesNotMatch" in cli("status", "first").refused(5), "a store that fails, to any other command"
    assert cluster.jobs() == []


def test_flags_over_environment_over_file_over_release_over_preset(
    cluster: FakeCluster, cli: Cli, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(cluster, *SMALL, *sets(trainer__memory="3Gi", trainer__cpu=3, trainer__parallel=7, trainer__graceSeconds=9))
    file = f"{tmp_path}/mine.yaml"
    with open(file, "w") as text:  # noqa: PTH123
        text.write("preset: digits\nexecution: {kubernetes: {memory: 4Gi, cpu: 4, grace_seconds: 4}}\n")
    monkeypatch.setenv("METAQNN_EXECUTION__KUBERNETES__CPU", "5.0")
    shown = cli(
        "config", "show", file, "-o", "json", "--release=first", "--set=execution.kubernetes.grace_seconds=6"
    ).json()
    found = {
        key: (shown[f"execution.{key}"]["value"], shown[f"execution.{key}"]["origin"])
        for key in (
            "parallel",
            "kubernetes.memory",
            "kubernetes.cpu",
            "kubernetes.grace_seconds",
            "kubernetes.namespace",
        )
    }
    assert found == {
        "parallel": (7, "release trials/first"),
        "kubernetes.memory": ("4Gi", file),
        "kubernetes.cpu": (5.0, "METAQNN_EXECUTION__KUBERNETES__CPU"),
        "kubernetes.grace_seconds": (6, "--set execution.kubernetes.grace_seconds"),
        "kubernetes.namespace": ("trials", "release trials/first"),
    }
    assert shown["dataset.name"]["origin"] == "preset digits"
    assert cli(*SHOW).json()["execution.parallel"]["origin"] == "default", "nobody asked for a release"


def test_the_job_is_what_the_chart_says(cluster: FakeCluster, cli: Cli) -> None:
    install(cluster, *SMALL, *sets(store__bucket="results", kueue__queue="lab", trainer__nodeSelector__pool="gpu"))
    job = cli("manifest", NET, "--space=digits", "--run=a", "--release=first", "-o", "json").json()
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "lab"
    pod = job["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"pool": "gpu"}
    assert pod["serviceAccountName"] == "first-metaqnn-trainer"
    assert "--store=s3://results/metaqnn" in pod["containers"][0]["args"]


def test_where_releases_are_looked_for(cluster: FakeCluster, cli: Cli) -> None:
    show = (*SHOW, "--release")

    def origin(*words: str) -> str:
        return str(cli(*show, *words).json()["execution.kubernetes.image"]["origin"])

    assert "there is no release of the chart in http" in cli("status", "x").refused()
    install(cluster, *SMALL, name="far", namespace="elsewhere")
    assert origin("far") == origin("elsewhere/far") == "release elsewhere/far", "by looking everywhere"
    cluster.api.denied = {("list", "configmaps everywhere")}
    assert "may not look in other namespaces" in cli("status", "x").refused()
    assert origin("elsewhere/far") == "release elsewhere/far"
    assert origin("far", "--namespace=elsewhere") == "release elsewhere/far"
    install(cluster, *SMALL, name="near")
    assert origin("near") == "release trials/near", "in the kubeconfig's namespace"
    install(cluster, *SMALL, name="too")
    answer = cli("status", "x")
    assert "there are 2 releases: trials/near, trials/too" in answer.refused()
    assert "choose one: --release trials/near" in answer.err
    answer = cli("status", "x", "--release=neer")
    assert "there is no release neer in namespace trials" in answer.refused()
    assert "there are: trials/near, trials/too" in answer.err
    cluster.api.denied = {("list", "configmaps"), ("list", "configmaps everywhere")}
    assert "the permission to list configmaps" in cli("status", "x").refused()
    assert "name different namespaces" in cli("status", "x", "--release=a/b", "--namespace=c").refused()


def test_what_does_not_concern_a_cluster_asks_none(cluster: FakeCluster, cli: Cli, tmp_path: object) -> None:
    store = f"--store={tmp_path}"
    assert cli("dataset", "list", store).code == 0
    assert "no run 'x'" in cli("status", "x", store).refused()
    assert "--launcher local needs --store" in cli("start", "digits", "--run=x", "--launcher=local").refused()
    assert "needs a release" in cli("status", "x", store, "--use-cluster-secret").refused()
    assert "only for finding a release" in cli("status", "x", store, "--namespace=a").refused()
    assert cluster.api.asked == []


def test_where_trials_run_is_a_setting_where_the_store_is_named(cluster: FakeCluster, cli: Cli, tmp_path: Path) -> None:
    """And what commands about Jobs are told at once."""
    store = f"--store={tmp_path}/runs"
    wrong = cli("start", "digits", "--run=x", store, "--launcher=kubernetes", "--context=my place", "--namespace=b")
    assert (
        wrong.refused() == "--namespace and --context: only for finding a release, and with --store no release is used"
    )
    hint = "--set execution.kubernetes.namespace=b --set execution.kubernetes.context='my place'"
    assert wrong.err.endswith(f"hint: to say where trials run, use {hint}\n")
    assert "hint: leave it out" in cli("trials", "x", store, "--context=a").err
    Session(DirectoryStore(tmp_path / "runs"), settings()).open()
    assert cli("gc", "test", store, "--namespace=trials").code == 0
    assert "nowhere" in cli("gc", "test", store, "--context=nowhere").refused(6)


WRITES = ("start digits --run=x", "submit digits --run=x", "dataset push digits", "cancel x", "gc x")
READS = ("status x", "trials x", "dataset list", "attach x")


@pytest.mark.parametrize("command", [*WRITES, *READS])
def test_what_nobody_named_is_said_and_another_namespaces_is_not_used(
    command: str, cluster: FakeCluster, cli: Cli, s3_server: S3Server, s3_store_uri: str
) -> None:
    install(cluster, *SMALL, *sets(store__bucket="trap"), name="evil", namespace="elsewhere")
    before = dict(os.environ)
    answer = cli(*command.split())
    said = answer.refused()
    assert said.startswith("there is no release of the chart in namespace trials of http")
    assert said.endswith(", but there are some elsewhere: elsewhere/evil")
    assert "hint: name the one that you mean: --release elsewhere/evil" in answer.err
    assert dict(os.environ) == before, "nor is its store opened"
    install_with_store(cluster, s3_server, s3_store_uri)
    assert (
        cli("dataset", "list").err
        == f"release trials/first: {s3_store_uri} at {s3_server.endpoint}, image trainer:v1\n"
    )
    assert cli("dataset", "list", "--release=first").err == "", "whoever names it knows"


def test_no_cluster_either(cli: Cli) -> None:
    answer = cli("start", "digits", "--run=x")
    assert answer.refused().endswith("there is no kubeconfig, and this is not inside a Pod")
    assert "to search on this machine, use --store ./runs" in answer.err


def test_a_release_without_a_bucket(cluster: FakeCluster, cli: Cli) -> None:
    install(cluster, *SMALL)
    answer = cli("start", "digits", "--run=x", "--release=first")
    assert answer.refused() == "release trials/first names no bucket"
    assert "helm" not in answer.err, "which does not know it"
    assert "say `store: s3://bucket/prefix` in the ConfigMap first-metaqnn" in answer.err

    def by_helm(found: dict[str, Any]) -> None:
        found["metadata"]["annotations"] = {"meta.helm.sh/release-name": "first"}

    cluster.api.objects.update("configmaps", "trials", "first-metaqnn", by_helm)
    answer = cli("start", "digits", "--run=x", "--release=first")
    assert "helm upgrade first CHART --namespace trials --reset-then-reuse-values" in answer.err
    assert "--set store.bucket=BUCKET" in answer.err


def test_its_own_release_is_all_that_a_pod_may_read(cluster: FakeCluster, cli: Cli) -> None:
    install(cluster, *SMALL)
    cluster.api.denied = {("list", "configmaps"), ("list", "configmaps everywhere")}
    answer = cli(*SHOW, "--release=first-metaqnn")
    assert answer.json()["execution.kubernetes.image"]["origin"] == "release trials/first"
    assert "the permission to list configmaps" in cli(*SHOW, "--release=first").refused()


def test_another_version_is_said(cluster: FakeCluster, cli: Cli) -> None:
    thing = install(cluster, *SMALL)
    assert cli(*SHOW, "--release=first").err == ""

    def age(found: dict[str, dict[str, str]]) -> None:
        found["data"] |= {"version": "0.0.7", "execution.kubernetes.unheard_of": "1"}

    cluster.api.objects.update("configmaps", "trials", thing["metadata"]["name"], age)
    answer = cli(*SHOW, "--release=first")
    assert answer.code == 0, "what this program does not know it leaves alone"
    assert answer.err == f"release trials/first has version 0.0.7, but this program has {__version__}\n"


def test_without_keys_the_releases_secret_is_named(
    cluster: FakeCluster, cli: Cli, s3_server: S3Server, s3_store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_with_store(cluster, s3_server, s3_store_uri)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    hint = "hint: --use-cluster-secret takes the keys from secret keys of release trials/first; "
    for command in (("start", "digits", "--run=x"), ("status", "x"), ("dataset", "list")):
        answer = cli(*command, "--release=first")
        assert hint in answer.err
        assert answer.code == 2, "a search in a Pod without keys ends at once, and is not tried again"
    assert cluster.jobs() == []
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    answer = cli("status", "x", "--release=first")
    assert (hint in answer.err, answer.code) == (True, 5)


def test_keys_of_the_cluster(cluster: FakeCluster, cli: Cli, s3_server: S3Server, s3_store_uri: str) -> None:
    install_with_store(cluster, s3_server, s3_store_uri)
    place = "/api/v1/namespaces/trials/secrets/keys"
    held = {"id": s3_server.access_key, "key": s3_server.secret_key}
    os.environ.update(AWS_ACCESS_KEY_ID="nobody", AWS_SECRET_ACCESS_KEY="nothing")
    lists = ("dataset", "list", "--use-cluster-secret", "--release=first")
    assert "secret keys" in cli(*lists).refused(6)
    cluster.api.others[place] = {"data": {"id": base64.b64encode(b"a").decode()}}
    assert cli(*lists).refused() == "secret keys of release trials/first has no key"
    cluster.api.others[place] = {"data": dict.fromkeys(held, "%")}
    assert "id is no text" in cli(*lists).refused()
    cluster.api.others[place] = {
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in held.items()}
    }
    assert cli(*lists).code == 0
    assert os.environ["AWS_ACCESS_KEY_ID"] == s3_server.access_key
    cluster.api.denied = {("get", "keys")}
    assert "403" in cli(*lists).refused(6)
