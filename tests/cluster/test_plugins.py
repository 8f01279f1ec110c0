"""The plug-ins on a real cluster: Jobs of their images, and of one that lacks the plug-in; and an orchestrator that is
killed in the midst of them.

CLUSTER_PLUGIN_IMAGE    the plug-ins' images, {} being the plug-in's name: localhost/metaqnn-{}:0.1.0
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests import forked
from tests.cli.conftest import Cli, cli
from tests.cluster.real import IMAGE, needs_address, needs_cluster, needs_image
from tests.cluster.test_search import World, world
from tests.plugins.test_every_plugin import PLUGINS, Plugin, search

__all__ = ["cli", "world"]

IMAGES = os.environ.get("CLUSTER_PLUGIN_IMAGE", "")

pytestmark = [needs_cluster, needs_image, needs_address, pytest.mark.timeout(1200)]


def needs_its_own(plugin: Plugin) -> bool:
    """Whether the trainer's own image does not do, as it does for what only the search needs."""
    return bool(plugin.groups.keys() - {"metaqnn.searchers", "metaqnn.presets"})


def image(plugin: Plugin) -> str:
    """What its Jobs run."""
    if not needs_its_own(plugin):
        return IMAGE
    if not IMAGES:
        pytest.skip("CLUSTER_PLUGIN_IMAGE names no plug-in's image")
    return IMAGES.format(plugin.folder.name)


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.folder.name)
def test_a_search_that_was_killed_believes_what_one_that_was_not_believes(
    plugin: Plugin, world: World, cli: Cli, tmp_path: Path
) -> None:
    start = [*plugin.start, *world.flags(image=image(plugin))]
    whole, killed = f"{world.uri}/whole", f"{world.uri}/killed"
    search(tmp_path, *start, "--store", whole)
    command = [*forked.ORCHESTRATOR, *start, "--store", killed]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(line.lstrip().startswith("2/") for line in process.stderr)
        process.send_signal(signal.SIGKILL)
        process.stderr.read()
    assert process.returncode == -signal.SIGKILL
    search(tmp_path, *start, "--store", killed)
    ours, theirs = (cli("status", "first", "--store", store, "-o", "json").json() for store in (killed, whole))
    assert ours["told"] == theirs["told"] >= 3
    assert ours["lost"] == theirs["lost"] == {}
    assert ours["q_digest"] == theirs["q_digest"]
    assert ours["best"]["trial"] == theirs["best"]["trial"]
    assert world.jobs() == []


@pytest.mark.parametrize(
    "plugin", [plugin for plugin in PLUGINS if needs_its_own(plugin)], ids=lambda plugin: plugin.folder.name
)
def test_an_image_without_it_stops_the_search_and_costs_no_net(
    plugin: Plugin, world: World, cli: Cli, tmp_path: Path
) -> None:
    start = [*forked.ORCHESTRATOR, *plugin.start, *world.flags(image=IMAGE), "--store", world.uri]
    started = subprocess.run(start, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert started.returncode == 1, started.stderr
    assert f"{plugin.project['project']['name']} 0.1.0 is not installed" in started.stderr
    status = cli("status", "first", "--store", world.uri, "-o", "json").json()
    assert (status["told"], status["failed"]) == (0, 0)
    search(tmp_path, "resume", "first", "--store", world.uri, f"--set=execution.kubernetes.image={image(plugin)}")
    status = cli("status", "first", "--store", world.uri, "-o", "json").json()
    assert status["told"] >= 3
    assert (status["failed"], [*status["lost"]]) == (0, ["unequipped"])
    assert world.jobs() == []
