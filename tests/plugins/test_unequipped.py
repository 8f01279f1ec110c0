"""A trainer that lacks what the run needs: the search stops and says what is missing. When it is there, `resume` trains
the same nets, and none is lost.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests import forked
from tests.cli.conftest import TINY, Cli, cli, needs_trainer
from tests.launchers.kubernetes.conftest import FakeCluster, cluster
from tests.plugins.test_every_plugin import PLUGINS

__all__ = ["cli", "cluster"]

pytestmark = needs_trainer

ROOT: Final = Path(__file__).parents[2]
TASK: Final = """\
from metaqnn_trainer.tasks.classification import Classification

from a_library import wonder


class PLUGIN(Classification):
    Options = wonder
"""
LATE: Final = """\
from metaqnn_trainer.tasks.classification import Classification


class PLUGIN(Classification):
    def load(self, read, device):
        from a_library import wonder

        return super().load(read, device)
"""
LIBRARY: Final = """\
from pydantic import BaseModel


class wonder(BaseModel):
    pass
"""


def command(
    *arguments: object, folder: Path, python: str = forked.PYTHON, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-m", "metaqnn_orch", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def trials(cli: Cli, store: Path) -> dict[str, str]:
    found: list[dict[str, Any]] = cli("trials", "first", "--store", store, "-o", "json").json()
    return {trial["trial"]: trial["state"] for trial in found}


def image_without(plugin: str, folder: Path) -> list[str]:
    """What the trainer's image runs that lacks a plug-in: everything else that is installed here."""
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if entry.suffix != ".pth" and not entry.name.startswith(f"metaqnn_{plugin}"):
            (folder / entry.name).symlink_to(entry)
    path = os.pathsep.join(map(str, (folder, ROOT / "trainer_image")))
    (alone := folder / "python-without-packages").write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    alone.chmod(0o755)
    return forked.trainer_with(folder, path, str(alone))


def test_an_image_without_the_plug_in_costs_no_net(
    cluster: FakeCluster, cli: Cli, tmp_path: Path, forked_trainer: list[str]
) -> None:
    (plugin,) = [plugin for plugin in PLUGINS if plugin.folder.name == "regression"]
    mount = {"name": "trainer", "volumeMounts": [{"name": "runs", "mountPath": str(tmp_path)}]}
    pod = {"containers": [mount], "volumes": [{"name": "runs", "persistentVolumeClaim": {"claimName": "runs"}}]}
    (tmp_path / "template.yaml").write_text(json.dumps({"spec": {"template": {"spec": pod}}}))
    (tmp_path / "image").mkdir()
    cluster.controllers.images["bare"] = image_without("regression", tmp_path / "image")
    cluster.controllers.images["whole"] = forked_trainer
    settings = {"image": "bare", "gpus": "0", "template": "template.yaml"}
    jobs = [f"--set=execution.kubernetes.{key}={value}" for key, value in settings.items()]
    store = tmp_path / "runs"
    started = command(
        *plugin.start, "--store", store, "--launcher=kubernetes", *jobs, "--parallel", "3", folder=tmp_path
    )
    assert started.returncode == 1, started.stderr
    assert "metaqnn-regression 0.1.0 is not installed in this trainer, or in its image" in started.stderr
    assert "metaqnn-orch resume first --store" in started.stderr
    asked = trials(cli, store)
    assert [*asked.values()] == ["waiting"] * 3
    # Their Jobs, of the image before, may end now: they say nothing of the next one.
    resumed = command(*("resume", "first", "--store", store, "--set=execution.kubernetes.image=whole"), folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    done = trials(cli, store)
    assert {done[trial] for trial in asked} <= {"completed", "untrainable"}
    status = cli("status", "first", "--store", store, "-o", "json").json()
    assert (status["failed"], [*status["lost"]]) == (0, ["unequipped"])


def test_a_plug_in_whose_library_is_missing_costs_no_net_on_this_machine(cli: Cli, tmp_path: Path) -> None:
    metadata = tmp_path / "installed" / "made_up-0.1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text("[metaqnn.tasks]\nmade-up = made_up:PLUGIN\n")
    (metadata.parent / "made_up.py").write_text(TASK)
    store, path = tmp_path / "runs", str(metadata.parent)
    call = partial(command, folder=tmp_path, python=forked.forking(tmp_path, path=path), PYTHONPATH=path)
    start = ("start", *TINY, "--set=task.name=made-up", "--run", "first", "--store", store)
    refused = call(*start)
    assert refused.returncode == 2, refused.stderr
    assert "'made-up' of made-up 0.1 cannot be loaded: ModuleNotFoundError: No module named 'a_library'" in (
        refused.stderr
    )
    assert not (store / "runs").exists()
    (metadata.parent / "made_up.py").write_text(LATE)
    started = call(*start)
    assert started.returncode == 1, started.stderr
    assert "'made-up' of made-up 0.1 failed: ModuleNotFoundError: No module named 'a_library'" in started.stderr
    assert "metaqnn-orch resume first --store" in started.stderr
    asked = trials(cli, store)
    assert [*asked.values()] == ["waiting"]
    (metadata.parent / "a_library.py").write_text(LIBRARY)
    resumed = call("resume", "first", "--store", store)
    assert resumed.returncode == 0, resumed.stderr
    done = trials(cli, store)
    assert asked.keys() <= done.keys()
    assert "abandoned" not in done.values()
    assert cli("status", "first", "--store", store, "-o", "json").json()["failed"] == 0
