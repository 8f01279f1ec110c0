"""submit: a Job that searches inside the cluster, told everything that this machine knows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from metaqnn_orch.application.submission import check_folder, searches
from metaqnn_orch.control.holder import this_process
from metaqnn_orch.errors import BadInput
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.store.directory import DirectoryStore
from tests.chart.conftest import sets
from tests.cli.conftest import Cli
from tests.launchers.kubernetes.conftest import NAMESPACE, FakeCluster, cluster
from tests.launchers.kubernetes.releases import SMALL, install

__all__ = ["cluster"]
pytestmark = pytest.mark.usefixtures("own_environment")

BUCKET = sets(store__bucket="results", store__region="eu-west-1")


def settings_of(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(job["spec"]["template"]["metadata"]["annotations"]["metaqnn/settings"])
    return found


def test_the_job(cluster: FakeCluster, cli: Cli, tmp_path: Path) -> None:
    install(cluster, *SMALL, *BUCKET)
    template = tmp_path / "template.yaml"
    template.write_text("spec: {template: {spec: {nodeSelector: {pool: mine}}}}")
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"preset: digits\nexecution: {{kubernetes: {{template: {template}, memory: 3Gi}}}}\n")
    answer = cli("submit", mine, "--run=night", "--max-trials=3", "--set=recipe.epochs=1")
    assert answer.code == 0, answer.err
    assert answer.err.splitlines()[-1] == "next: metaqnn-orch attach night --release trials/first"
    (job,) = cluster.jobs()
    assert job["metadata"]["name"] == "night-orchestrator"
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"] == ["start", "/etc/metaqnn/run/settings.yaml", "--run", "night"]
    assert pod["serviceAccountName"] == "first-metaqnn-orchestrator"
    settings = settings_of(job)
    assert settings["recipe"]["epochs"] == 1
    assert settings["execution"] == {
        "kubernetes": {"template": "/etc/metaqnn/run/job-template.yaml", "memory": "3Gi"},
        "max_trials": 3,
    }, "and nothing of the release, which the Pod reads itself"
    annotations = job["spec"]["template"]["metadata"]["annotations"]
    assert yaml.safe_load(annotations["metaqnn/job-template"])["spec"]["template"]["spec"] == {
        "nodeSelector": {"pool": "mine"}
    }


def test_the_pod_is_told_what_was_taken_away_and_what_followed(cluster: FakeCluster, cli: Cli, tmp_path: Path) -> None:
    install(cluster, *SMALL, *BUCKET)
    mine = tmp_path / "mine.yaml"
    mine.write_text("preset: digits\nobjective: {measure: accuracy}\n")
    answer = cli(
        "submit", mine, "--run=night", "--set=objective=null", "--set=execution.kubernetes.store_secret_keys=null"
    )
    assert answer.code == 0, answer.err
    settings = settings_of(cluster.jobs()[0])
    assert settings["objective"] is None
    taken = {"kubernetes": {"store_secret_keys": None}}
    assert settings["execution"] == taken, "so that the release's settings do not count there either"
    assert settings["space"]["classes"] == 10


def test_it_is_submitted_once(cluster: FakeCluster, cli: Cli) -> None:
    install(cluster, *SMALL, *BUCKET)
    submit = ("submit", "digits", "--run=night")
    assert "in namespace trials now searches for run night" in cli(*submit).err
    (job,) = cluster.jobs()
    assert "already" in cli(*submit, "--seed=3").err
    assert cluster.jobs()[0]["metadata"]["uid"] == job["metadata"]["uid"]

    def end(thing: dict[str, Any]) -> None:
        thing["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}

    cluster.api.objects.update("jobs", "trials", "night-orchestrator", end)
    assert cli(*submit, "--seed=3").code == 0
    (again,) = cluster.jobs()
    assert again["metadata"]["uid"] != job["metadata"]["uid"], "what has ended makes way"
    assert settings_of(again)["seed"] == 3


@pytest.mark.parametrize(("store", "goes_on"), [("s3://results/metaqnn", True), ("s3://others/metaqnn", False)])
def test_a_search_whose_job_was_deleted_without_its_pod_goes_on(
    cluster: FakeCluster, cli: Cli, store: str, goes_on: bool
) -> None:
    """Two orchestrators of a run would not hurt it; but the second one would fail, and nobody would know why."""
    install(cluster, *SMALL, *BUCKET)
    pod = {
        "metadata": {
            "name": "night-orchestrator-x",
            "labels": {"batch.kubernetes.io/job-name": "night-orchestrator"},
            "annotations": {"metaqnn/store": store},
        },
        "spec": {},
        "status": {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {}}}]},
    }
    cluster.controllers.close()
    cluster.api.objects.create("pods", NAMESPACE, pod)
    answer = cli("submit", "digits", "--run=night")
    assert answer.code == 0, answer.err
    assert ("pod night-orchestrator-x searches for run night, though its Job was deleted" in answer.err) is goes_on
    assert (cluster.jobs() == []) is goes_on


def test_whether_a_pod_searches(store: DirectoryStore) -> None:
    def pod(name: str, phase: str, **state: Any) -> dict[str, Any]:
        return {"metadata": {"name": name}, "status": {"phase": phase, "containerStatuses": [{"state": state}]}}

    works, begins = pod("mine", "Running", running={}), pod("mine", "Pending", waiting={})
    ended = pod("mine", "Running", terminated={"exitCode": 4})
    assert searches(store, "night", []), "it has no Pod yet"
    assert searches(store, "night", [begins])
    assert searches(store, "night", [works]), "nobody holds the run yet"
    assert not searches(store, "night", [ended])
    me = this_process("one", "now").model_copy(update={"host": "mine"})
    for holder, wanted in (
        (me, True),
        (me.model_copy(update={"released": True}), False),
        (me.model_copy(update={"host": "laptop"}), False),
    ):
        store.put(keys.holder("night"), encode(holder))
        assert searches(store, "night", [works]) is wanted
        assert searches(store, "night", [begins])


def test_of_another_store(cluster: FakeCluster, cli: Cli) -> None:
    install(cluster, *SMALL, *BUCKET)
    assert cli("submit", "digits", "--run=night").code == 0
    cluster.api.objects.remove("jobs", "trials", "night-orchestrator")
    placed = ("--release=first", "--store=s3://other/place")
    assert cli("submit", "digits", "--run=night", *placed).err.endswith(
        "next: metaqnn-orch attach night --release trials/first --store s3://other/place\n"
    )
    answer = cli("submit", "digits", "--run=night")
    assert "belongs to s3://other/place; nothing was done" in answer.refused()


def test_what_is_wrong_is_found_here(cluster: FakeCluster, cli: Cli, tmp_path: Path) -> None:
    install(cluster, *SMALL, *BUCKET)
    assert "unknown setting" in cli("submit", "digits", "--run=a", "--set=recipe.epoch=1").refused()
    assert "is not a valid name" in cli("submit", "digits", "--run=A").refused()
    assert "submit needs a release" in cli("submit", "digits", "--run=a", "--store=s3://other").refused()
    assert (
        "Pods cannot see it" in cli("submit", "digits", "--run=a", "--release=first", f"--store={tmp_path}").refused()
    )
    cluster.api.denied = {("create", "jobs")}
    assert "refused to create job a-orchestrator: 403" in cli("submit", "digits", "--run=a").refused(6)
    assert cluster.jobs() == []


def test_tensorboard_has_a_folder_that_outlives_the_pod(cluster: FakeCluster, cli: Cli) -> None:
    install(cluster, *SMALL, *BUCKET)
    for folder in ("boards", "/tmp/boards", "~/boards", "/boards", "/etc/metaqnn/run/boards"):
        answer = cli("submit", "digits", "--run=night", f"--set=tracking.tensorboard={folder}")
        assert f"tracking.tensorboard is {folder}: no folder of the search's Pod that outlives it" in answer.refused()
        assert re.search(r"metaqnn-orch track RUN --\S+ \S+ --tensorboard DIR", answer.err)
    assert cluster.jobs() == []


def test_tensorboard_on_a_volume() -> None:
    def pod(kind: str, **mount: Any) -> dict[str, Any]:
        mounts = [{"name": "tmp", "mountPath": "/tmp"}, {"name": "ours", "mountPath": "/tmp/boards", **mount}]
        volumes = [{"name": "tmp", "emptyDir": {}}, {"name": "ours", kind: {}}]
        return {"containers": [{"name": "orchestrator", "volumeMounts": mounts}], "volumes": volumes}

    for kind in ("persistentVolumeClaim", "nfs", "csi"):
        check_folder("boards/mine", pod(kind), "/runs")
        with pytest.raises(BadInput):
            check_folder("boards/mine", pod(kind, readOnly=True), "/runs")
        with pytest.raises(BadInput):
            check_folder("others", pod(kind), "/runs")
    for kind in ("emptyDir", "secret"):
        with pytest.raises(BadInput):
            check_folder("boards", pod(kind), "/runs")
    check_folder(None, pod("emptyDir"), "/runs")


def test_secrets_stay_out_of_annotations(cluster: FakeCluster, cli: Cli, tmp_path: Path) -> None:
    install(cluster, *SMALL, *BUCKET)
    submit = ("submit", "digits", "--run=a")
    answer = cli(*submit, "--set=tracking.mlflow=https://ada:hunter2@mlflow.example")
    assert "tracking.mlflow is https://***@mlflow.example" in answer.refused()
    assert "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in answer.err
    mine = tmp_path / "mine.yaml"
    mine.write_text("preset: digits\ntracking: {mlflow: 'https://mlflow.example/?token=hunter2'}\n")
    assert "tracking.mlflow is https://mlflow.example/?token=***" in cli("submit", mine, "--run=a").refused()
    assert cluster.jobs() == []
    assert cli(*submit, "--set=tracking.mlflow=https://mlflow.example").code == 0
    assert "hunter2" not in str(cluster.jobs())


@pytest.mark.parametrize(
    ("container", "place"),
    [
        ("env: [{name: WANDB_API_KEY, value: hunter2}]", "containers[trainer]: WANDB_API_KEY"),
        ("env: [{name: LOG, value: 'https://ada:hunter2@logs.example'}]", "containers[trainer]: LOG"),
        ("command: [sh, -c, 'run --token=hunter2']", ""),  # is not the template's to say
        ("env: [{name: WANDB_API_KEY, valueFrom: {secretKeyRef: {name: wandb, key: key}}}]", ""),
        ("env: [{name: TOKENIZERS_PARALLELISM, value: 'false'}, {name: SSH_PRIVATE_KEY, value: /keys/it}]", ""),
    ],
)
def test_secrets_of_a_template_stay_out_of_annotations(
    cluster: FakeCluster, cli: Cli, tmp_path: Path, container: str, place: str
) -> None:
    install(cluster, *SMALL, *BUCKET)
    template = tmp_path / "job.yaml"
    template.write_text(f"spec: {{template: {{spec: {{containers: [{{name: trainer, {container}}}]}}}}}}")
    answer = cli("submit", "digits", "--run=a", f"--set=execution.kubernetes.template={template}")
    if place:
        assert f"{place}: it contains a secret, which would be visible in the Pod's annotations" in answer.refused()
        assert "secretKeyRef" in answer.err
        assert cluster.jobs() == []
    else:
        assert answer.code == 0, answer.err
        assert "job-template" in str(cluster.jobs())
    assert "hunter2" not in answer.out + answer.err + str(cluster.jobs())


@pytest.mark.parametrize(
    "arguments",
    [
        ("config", "show", "digits", "--set=tracking.mlflow=https://ada:hunter2@mlflow.example"),
        ("config", "show", "digits", "-o", "json", "--set=tracking.mlflow=https://ada:hunter2@mlflow.example"),
        ("config", "show", "digits", "--set=tracking.mlflow=[https://ada:hunter2@mlflow.example]"),
        ("config", "show", "digits", "--set=tracking=https://ada:hunter2@mlflow.example"),
        ("config", "show", "https://ada:hunter2@mlflow.example"),
        ("start", "digits", "--run=a", "--store=http://ada:hunter2@store.example/x"),
        ("doctor", "digits", "--store=s3://ada:hunter2@bucket/x"),
        ("doctor", "digits", "--store=./x", "--set=execution.kubernetes.store_endpoint=http://ada:hunter2@s"),
    ],
)
def test_what_was_typed_is_not_repeated_with_its_secret(cli: Cli, arguments: tuple[str, ...]) -> None:
    answer = cli(*arguments)
    assert "***" in answer.out + answer.err
    assert "hunter2" not in answer.out + answer.err
