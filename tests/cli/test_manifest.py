"""manifest: what becomes of an administrator's template; and the same checks in all commands that make Jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.conftest import sets
from tests.cli.conftest import Cli
from tests.kubernetes_schemas import validate
from tests.launchers.kubernetes.conftest import FakeCluster, cluster
from tests.launchers.kubernetes.releases import SMALL, install
from tests.launchers.kubernetes.restricted_profile import violations
from tests.launchers.kubernetes.servers import NEWEST
from tests.launchers.kubernetes.test_template import CASES

__all__ = ["cluster"]
pytestmark = pytest.mark.usefixtures("own_environment")

NET = "[C(4,3,1), SM(10)]"
BUCKET = sets(store__bucket="results", store__region="eu-west-1")
TYPO = "spec: {template: {spec: {tolleration: []}}}"
RELIES = "the orchestrator needs its own value"
RESTRICTED = "every trainer's Pod must meet the restricted Pod security profile"


@pytest.fixture
def asked(s3_store_uri: str) -> tuple[str, ...]:
    """A command line up to the template."""
    kubernetes = "--set=execution.kubernetes={}"
    sets = [kubernetes.format("{image: trainer, store_endpoint: 'http://store:1'}")]
    return ("manifest", NET, "--space=digits", "--run=first", "--store", s3_store_uri, *sets)


def test_a_search_whose_trials_share_jobs_is_told_of(asked: tuple[str, ...], cli: Cli) -> None:
    told = cli(*asked, "--set=execution.kubernetes.trials_per_job=4", "--set=execution.parallel=8").err
    assert "this is the Job of a net that is trained alone" in told
    assert "trained alone" not in cli(*asked).err


def template(path: Path) -> str:
    return f"--set=execution.kubernetes.template={path}"


@pytest.mark.skipif(not CASES.exists(), reason="the examples are not here")
@pytest.mark.parametrize("name", sorted(path.stem for path in CASES.glob("*.yaml")))
def test_what_people_write(name: str, asked: tuple[str, ...], cli: Cli) -> None:
    told = {
        "caps": f"spec.template.spec.containers[trainer].securityContext.capabilities is ignored: {RESTRICTED}",
        "rootuser": f"spec.template.spec.securityContext.runAsUser is ignored: {RESTRICTED}",
        "shm": "spec.template.spec.containers[trainer].volumeMounts[/dev/shm] is ignored: "
        "execution.kubernetes.shared_memory decides it",
    }
    refused = {
        "pod": "is a v1 Pod, not a batch/v1 Job",
        "wrongname": "spec.template.spec.containers[training-container] has no image; the trainer's container "
        "must be named 'trainer'",
    }
    path = CASES / f"{name}.yaml"
    if name in refused:
        for output in ("yaml", "json"):
            assert f"{path}: {refused[name]}" in cli(*asked, template(path), "-o", output).refused()
        return
    answer = cli(*asked, template(path))
    job: dict[str, Any] = yaml.safe_load(answer.out)
    validate(job, NEWEST)
    assert list(violations(job["spec"]["template"])) == []
    mine = [line for line in answer.err.splitlines() if str(path) in line]
    assert mine == ([f"{path}: {told[name]}"] if name in told else [])
    machine = cli(*asked, template(path), "-o", "json")
    assert machine.json() == job
    assert machine.err == answer.err


def test_every_line_that_is_not_obeyed_is_said(asked: tuple[str, ...], cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "spec: {backoffLimit: 9, template: {spec: {containers: [{name: trainer, command: [sh], tty: true}]}}}"
    )
    said = cli(*asked, template(path), "-o", "json").err
    for place in (
        "spec.backoffLimit",
        *(f"spec.template.spec.containers[trainer].{key}" for key in ("command", "tty")),
    ):
        assert f"{path}: {place} is ignored: {RELIES}\n" in said


def test_numbers_are_read_as_they_are_written(asked: tuple[str, ...], cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("metadata: {labels: {version: 1.10, zip: 007}}\nspec: {activeDeadlineSeconds: 0600}")
    assert "'0600', but a whole number is needed: 0600 is octal for 384" in cli(*asked, template(path)).refused()
    path.write_text("metadata: {labels: {version: 1.10, zip: 007, team: 42}}")
    labels = cli(*asked, template(path), "-o", "json").json()["metadata"]["labels"]
    assert (labels["version"], labels["zip"], labels["team"]) == ("1.10", "007", "42")


def test_an_attempt_that_has_no_name(asked: tuple[str, ...], cli: Cli) -> None:
    assert cli(*asked, "--attempt=4321", "-o", "json").json()["metadata"]["name"].endswith("-4321")
    assert "it must be less than or equal to 999999999" in cli(*asked, "--attempt=1000000000").refused()


def test_all_commands_check_the_template(cluster: FakeCluster, cli: Cli, tmp_path: Path) -> None:
    install(cluster, *SMALL, *BUCKET)
    path = tmp_path / "mine.yaml"
    path.write_text(TYPO)
    words = f"{path}: spec.template.spec has no field 'tolleration': did you mean tolerations?"
    start = ("start", "digits", "--run=night", "--launcher=kubernetes", "--release=first")
    for command in (start, ("submit", "digits", "--run=night")):
        assert words in cli(*command, template(path)).refused()
    doctor = cli("doctor", "digits", "--launcher=kubernetes", "--release=first", template(path))
    assert doctor.code != 0
    assert words in doctor.out + doctor.err
    assert cluster.jobs() == []


def test_what_a_release_says_is_checked_too(cluster: FakeCluster, cli: Cli) -> None:
    """Of a chart that took numbers where Kubernetes has text, or edited by hand."""
    install(cluster, *SMALL, *BUCKET)

    def edited(key: str, old: str, new: str) -> None:
        def edit(release: dict[str, Any]) -> None:
            assert old in release["data"][key]
            release["data"][key] = release["data"][key].replace(old, new)

        cluster.api.objects.update("configmaps", "trials", "first-metaqnn", edit)

    labels = "kind: Job\nmetadata:\n  labels:\n"
    edited("job-template.yaml", labels, f"{labels}    team: 42\n")
    manifest = ("manifest", NET, "--space=digits", "--run=a", "--release=first", "-o", "json")
    assert cli(*manifest).json()["metadata"]["labels"]["team"] == "42"
    edited("orchestrator-job.yaml", "backoffLimit: 10", "backoffLimit: 10\n  suspend: false")
    edited("orchestrator-job.yaml", labels, f"{labels}    team: 42\n")
    assert cli("submit", "digits", "--run=night").code == 0
    (job,) = cluster.jobs()
    assert job["metadata"]["labels"]["team"] == "42"
    edited("orchestrator-job.yaml", "suspend: false", "supend: false")
    answer = cli("submit", "digits", "--run=day").refused()
    assert "the release's orchestrator-job.yaml: spec has no field 'supend': did you mean suspend?" in answer
    edited("job-template.yaml", "team: 42", "team: 4.2")
    assert (
        "metadata.labels.team is the number 4.2, which may have been written in another way" in cli(*manifest).refused()
    )
