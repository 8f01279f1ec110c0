"""What holds of every distribution in plugins/: whoever adds one adds nothing here.

Each says in its pyproject.toml which preset the tests start, and with which changes that is quick:

    [tool.metaqnn]
    preset = "friedman1"
    quick = ["recipe.epochs=2", "schedule.total=4"]
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from functools import cached_property
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.conftest import needs_trainer
from tests.launchers.kubernetes.conftest import FakeCluster, cluster

__all__ = ["cluster"]

ROOT: Final = Path(__file__).parents[2] / "plugins"
MOST_LINES: Final = 400  # of code, blank ones apart
MOST_PAGE: Final = 80  # lines of README.md
COMMAND: Final = (sys.executable, "-m", "metaqnn_orch")


class Plugin:
    """A distribution of plugins/."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())

    @property
    def modules(self) -> list[Path]:
        return sorted((self.folder / f"metaqnn_{self.folder.name}").rglob("*.py"))

    @property
    def start(self) -> tuple[str, ...]:
        tests = self.project["tool"]["metaqnn"]
        changes = [part for change in tests["quick"] for part in ("--set", change)]
        return ("start", tests["preset"], "--run", "first", "--parallel", "1", *changes)

    @cached_property
    def groups(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = self.project["project"]["entry-points"]
        return found


PLUGINS: Final = [Plugin(path.parent) for path in sorted(ROOT.glob("*/pyproject.toml"))]


@pytest.fixture(scope="module", params=PLUGINS, ids=lambda plugin: plugin.folder.name)
def plugin(request: pytest.FixtureRequest) -> Plugin:
    found: Plugin = request.param
    return found


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}  # tests run side by side


def call(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def answer(folder: Path, *arguments: str, store: str = "./runs") -> Any:
    return json.loads(call(folder, *arguments, "--store", store, "-o", "json"))


@pytest.fixture(scope="module")
def searched(plugin: Plugin, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose store has the run `first`. Read it alone."""
    folder = tmp_path_factory.mktemp(plugin.folder.name)
    call(folder, *plugin.start, "--store", "./runs")
    return folder


def test_it_is_small_and_has_a_page(plugin: Plugin) -> None:
    code = [module.read_text().splitlines() for module in plugin.modules if module.name != "results.py"]
    assert 0 < sum(bool(line.strip()) for lines in code for line in lines) <= MOST_LINES
    page = (plugin.folder / "README.md").read_text()
    assert len(page.splitlines()) <= MOST_PAGE
    assert f"pip install ./plugins/{plugin.folder.name}" in page
    assert f"make plugins ARGS={plugin.folder.name}" in page, "a result has its command"
    assert f"`{plugin.folder.name}`" in (ROOT.parent / "docs" / "plugins.md").read_text()


def test_one_image_serves_all_that_the_trainer_needs() -> None:
    assert (ROOT / "Dockerfile").read_text().count("FROM ") == 2
    for plugin in PLUGINS:
        if plugin.groups.keys() - {"metaqnn.searchers", "metaqnn.presets"}:
            page = (plugin.folder / "README.md").read_text()
            assert f"docker build -f plugins/Dockerfile plugins/{plugin.folder.name}" in page


def test_what_it_adds_is_found_with_its_distribution(plugin: Plugin, tmp_path: Path) -> None:
    name, version = plugin.project["project"]["name"], plugin.project["project"]["version"]
    assert distribution(name).version == version
    kinds = {"searchers": "searcher", "spaces": "space", "tasks": "task", "datasets": "dataset", "layers": "layer"}
    wanted = {
        (kinds[group.rpartition(".")[2]], member)
        for group, members in plugin.groups.items()
        if group != "metaqnn.presets"
        for member in members
    }
    listed = json.loads(call(tmp_path, "config", "plugins", "-o", "json"))
    ours = [one for one in listed if one["distribution"] == f"{name} {version}"]
    assert {(one["kind"], one["name"]) for one in ours} == wanted
    assert {one["trouble"] for one in ours} == {""}


@needs_trainer
def test_its_search_learns_and_is_shown(plugin: Plugin, searched: Path, tmp_path: Path) -> None:
    status = answer(searched, "status", "first")
    assert status["told"] >= 3
    assert status["best"]["reward"] > 0
    trials = answer(searched, "trials", "first")
    assert {trial["state"] for trial in trials} <= {"completed", "untrainable", "stopped_early"}
    call(searched, "report", "first", "--store", "./runs", "--to", str(tmp_path / "report"))
    page = (tmp_path / "report" / "index.html").read_text()
    assert status["best"]["trial"] in page
    assert "Traceback" not in page
    assert ">None<" not in page
    call(searched, "explain", "first", "--store", "./runs")


@needs_trainer
def test_killed_as_jobs_and_gone_on_with_it_believes_the_same(
    plugin: Plugin, searched: Path, cluster: FakeCluster, tmp_path: Path
) -> None:
    """The same search with one Job for each trial; the orchestrator is killed in its midst."""
    mount = {"name": "trainer", "volumeMounts": [{"name": "runs", "mountPath": str(tmp_path)}]}
    pod = {"containers": [mount], "volumes": [{"name": "runs", "persistentVolumeClaim": {"claimName": "runs"}}]}
    (tmp_path / "template.yaml").write_text(json.dumps({"spec": {"template": {"spec": pod}}}))
    cluster.controllers.images["trainer"] = [sys.executable, "-m", "metaqnn_trainer"]
    settings = {"image": "trainer", "gpus": "0", "template": "template.yaml"}
    jobs = [f"--set=execution.kubernetes.{key}={value}" for key, value in settings.items()]
    store = str(tmp_path / "runs")
    start = (*plugin.start, "--store", store, "--launcher=kubernetes", *jobs)
    with subprocess.Popen(
        [*COMMAND, *start], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert any(line.lstrip().startswith("2/") for line in process.stderr)
        process.send_signal(signal.SIGKILL)
        process.stderr.read()
    assert process.returncode == -signal.SIGKILL
    call(tmp_path, *start)
    ours, theirs = answer(tmp_path, "status", "first", store=store), answer(searched, "status", "first")
    assert ours["q_digest"] == theirs["q_digest"]
    assert ours["best"]["trial"] == theirs["best"]["trial"]
