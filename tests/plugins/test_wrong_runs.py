"""What is wrong with a run, and not with a net, is found before anything is created, or costs no net."""

from __future__ import annotations

import json
import os
import re
from functools import partial
from pathlib import Path
from typing import Final

from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import TINY, Cli, cli, needs_trainer
from tests.forked import forking, trainer_with
from tests.launchers.kubernetes.conftest import FakeCluster, cluster
from tests.plugins.test_unequipped import ROOT, command, trials

__all__ = ["cli", "cluster"]

pytestmark = needs_trainer

TASK: Final = """\
from pydantic import BaseModel, ConfigDict, Field

from metaqnn_trainer.tasks.classification import Classification


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    level: int = Field(1, ge={least})


class PLUGIN(Classification):
    Options = Options
    measures = (*Classification.measures, "grade")
"""
NAMED: Final = ("--set=task.name=made-up", "--run", "first")
LEVEL: Final = "task.level: must be greater than or equal to"


def install(folder: Path, least: int) -> str:
    """The variable PYTHONPATH with which the task is found. Its option may not be less."""
    metadata = folder / "made_up-0.1.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text("[metaqnn.tasks]\nmade-up = made_up:PLUGIN\n")
    (folder / "made_up.py").write_text(TASK.format(least=least))
    return os.pathsep.join([str(folder), str(ROOT / "trainer_image")])


def jobs(folder: Path, image: str) -> list[str]:
    """The options of a run in a cluster whose Pods see this folder."""
    mount = {"name": "trainer", "volumeMounts": [{"name": "runs", "mountPath": str(folder)}]}
    pod = {"containers": [mount], "volumes": [{"name": "runs", "persistentVolumeClaim": {"claimName": "runs"}}]}
    (folder / "template.yaml").write_text(json.dumps({"spec": {"template": {"spec": pod}}}))
    settings = {"image": image, "gpus": "0", "template": "template.yaml"}
    return ["--launcher=kubernetes", *(f"--set=execution.kubernetes.{key}={value}" for key, value in settings.items())]


def test_on_this_machine_start_a_dry_run_and_resume_say_it_beforehand(tmp_path: Path) -> None:
    path, store = install(tmp_path / "installed", 1), tmp_path / "runs"
    call = partial(command, folder=tmp_path, python=forking(tmp_path, path=path), PYTHONPATH=path)
    start = ("start", *TINY, *NAMED, "--store", store)
    for more in ((), ("--dry-run",)):
        refused = call(*start, "--set=task.level=0", *more)
        assert (refused.returncode, f"trained: {LEVEL} 1" in refused.stderr) == (2, True), refused.stderr
    refused = call(*start, "--set=objective.measure=grades")
    assert (refused.returncode, "there are params, macs" in refused.stderr) == (2, True), refused.stderr
    assert "loss, grade, seconds" in refused.stderr
    assert not store.exists()
    started = call(*start, "--set=task.level=1", "--max-trials=1")
    assert started.returncode == 0, started.stderr
    journal = [entry.key for entry in DirectoryStore(store).list(keys.run("first")) if "journal" in entry.key]
    install(tmp_path / "installed", 15)  # another size: Python compiles it anew
    resume = ("resume", "first", "--store", store, "--max-trials=2")
    refused = call(*resume)
    assert (refused.returncode, f"trained: {LEVEL} 15" in refused.stderr) == (2, True), refused.stderr
    assert [entry.key for entry in DirectoryStore(store).list(keys.run("first")) if "journal" in entry.key] == journal
    done = call("resume", "first", "--store", store, "--max-trials=1")
    assert "complete, nothing is left to do" in done.stderr, "then nothing is asked"


def test_in_a_cluster_torch_beside_the_search_says_it_beforehand(cluster: FakeCluster, tmp_path: Path) -> None:
    path, store = install(tmp_path / "installed", 1), tmp_path / "runs"
    start = ("start", *TINY, *NAMED, "--store", store, "--set=task.level=0", *jobs(tmp_path, "trainer"))
    refused = command(*start, folder=tmp_path, PYTHONPATH=path)
    assert (refused.returncode, f"trained: {LEVEL} 1" in refused.stderr) == (2, True), refused.stderr
    assert (cluster.jobs(), store.exists()) == ([], False)


def test_what_only_the_image_finds_costs_no_net(cluster: FakeCluster, cli: Cli, tmp_path: Path) -> None:
    here, inside = (install(tmp_path / folder, least) for folder, least in (("installed", 1), ("image", 5)))
    cluster.controllers.images["strict"] = trainer_with(tmp_path, inside)
    store = tmp_path / "runs"
    start = ("start", *TINY, *NAMED, "--store", store, *jobs(tmp_path, "strict"), "--parallel=3")
    started = command(*start, "--set=task.level=1", folder=tmp_path, PYTHONPATH=here)
    assert started.returncode == 1, started.stderr
    said = "what every net of this run asks for was wrong, or missing, in the last [345] attempts"  # some end together
    assert re.search(said, started.stderr), started.stderr
    assert "18 (unequipped): metaqnn_trainer: task.options.level: must be greater than or equal to 5" in started.stderr
    assert "--run OTHER" in started.stderr
    assert "metaqnn-orch resume first --store" in started.stderr
    assert [*trials(cli, store).values()] == ["waiting"] * 3
    status = cli("status", "first", "--store", store, "-o", "json").json()
    assert (status["failed"], [*status["lost"]]) == (0, ["unequipped"])
