"""What holds of every distribution in plugins/: whoever adds one adds nothing here.

Each says in its pyproject.toml which preset the tests start, and with which changes that is quick:

    [tool.metaqnn]
    preset = "friedman1"
    quick = ["recipe.epochs=2", "schedule.total=4"]
"""

from __future__ import annotations

import json
import signal
import subprocess
import tomllib
from functools import cache, cached_property
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final

import pytest

from tests import forked
from tests.cli.conftest import Cli, cli, needs_trainer
from tests.launchers.kubernetes.conftest import FakeCluster, cluster

__all__ = ["cli", "cluster"]

ROOT: Final = Path(__file__).parents[2] / "plugins"
MOST_LINES: Final = 400  # of code, blank ones apart
MOST_PAGE: Final = 80  # lines of README.md


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


def search(folder: Path, *arguments: str) -> None:
    done = subprocess.run([*forked.ORCHESTRATOR, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@cache
def listed() -> list[dict[str, str]]:
    """What `config plugins` says of all that is installed: it imports all of it."""
    said = subprocess.run(
        [*forked.ORCHESTRATOR, "config", "plugins", "-o", "json"], capture_output=True, check=True
    ).stdout
    found: list[dict[str, str]] = json.loads(said)
    return found


@pytest.fixture(scope="module")
def searched(plugin: Plugin, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that has the run `first`. Read it alone."""
    folder = tmp_path_factory.mktemp(plugin.folder.name)
    search(folder, *plugin.start, "--store", "./runs")
    return folder / "runs"


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


def test_what_it_adds_is_found_with_its_distribution(plugin: Plugin) -> None:
    name, version = plugin.project["project"]["name"], plugin.project["project"]["version"]
    assert distribution(name).version == version
    kinds = {"searchers": "searcher", "spaces": "space", "tasks": "task", "datasets": "dataset", "layers": "layer"}
    wanted = {
        (kinds[group.rpartition(".")[2]], member)
        for group, members in plugin.groups.items()
        if group != "metaqnn.presets"
        for member in members
    }
    ours = [one for one in listed() if one["distribution"] == f"{name} {version}"]
    assert {(one["kind"], one["name"]) for one in ours if one["kind"] != "preset"} == wanted
    assert any(one["kind"] == "preset" for one in ours) == ("metaqnn.presets" in plugin.groups)
    assert {one["trouble"] for one in ours} == {""}


@needs_trainer
def test_its_search_learns_and_is_shown(plugin: Plugin, searched: Path, cli: Cli, tmp_path: Path) -> None:
    status = cli("status", "first", "--store", searched, "-o", "json").json()
    assert status["told"] >= 3
    assert status["best"]["reward"] > 0
    trials = cli("trials", "first", "--store", searched, "-o", "json").json()
    assert {trial["state"] for trial in trials} <= {"completed", "untrainable", "stopped_early"}
    assert cli("report", "first", "--store", searched, "--to", tmp_path / "report").code == 0
    page = (tmp_path / "report" / "index.html").read_text()
    assert status["best"]["trial"] in page
    assert "Traceback" not in page
    assert ">None<" not in page
    assert cli("explain", "first", "--store", searched).code == 0


@needs_trainer
def test_killed_as_jobs_and_gone_on_with_it_believes_the_same(
    plugin: Plugin, searched: Path, cluster: FakeCluster, cli: Cli, tmp_path: Path, forked_trainer: list[str]
) -> None:
    """The same search with one Job for each trial; the orchestrator is killed in its midst."""
    mount = {"name": "trainer", "volumeMounts": [{"name": "runs", "mountPath": str(tmp_path)}]}
    pod = {"containers": [mount], "volumes": [{"name": "runs", "persistentVolumeClaim": {"claimName": "runs"}}]}
    (tmp_path / "template.yaml").write_text(json.dumps({"spec": {"template": {"spec": pod}}}))
    cluster.controllers.images["trainer"] = forked_trainer
    settings = {"image": "trainer", "gpus": "0", "template": "template.yaml"}
    jobs = [f"--set=execution.kubernetes.{key}={value}" for key, value in settings.items()]
    store = tmp_path / "runs"
    start = (*plugin.start, "--store", str(store), "--launcher=kubernetes", *jobs)
    with subprocess.Popen([*forked.ORCHESTRATOR, *start], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(line.lstrip().startswith("2/") for line in process.stderr)
        process.send_signal(signal.SIGKILL)
        process.stderr.read()
    assert process.returncode == -signal.SIGKILL
    search(tmp_path, *start)
    ours, theirs = (cli("status", "first", "--store", place, "-o", "json").json() for place in (store, searched))
    assert ours["q_digest"] == theirs["q_digest"]
    assert ours["best"]["trial"] == theirs["best"]["trial"]
