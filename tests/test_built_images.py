"""Both images as a cluster runs them: nobody in particular, no rights, a file system that cannot be written.

Needs images that `make images` built and a program that runs them:
    export METAQNN_TEST_IMAGE=localhost/metaqnn-trainer:0.1.0 METAQNN_TEST_CONTAINERS="docker run"
    export METAQNN_TEST_ORCHESTRATOR_IMAGE=localhost/metaqnn-orchestrator:0.1.0
    pytest tests/test_built_images.py tests/trainer/test_image.py
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess

import pytest

from metaqnn_trainer import __version__

IMAGES = {
    "metaqnn_trainer": os.environ.get("METAQNN_TEST_IMAGE", ""),
    "metaqnn_orch": os.environ.get("METAQNN_TEST_ORCHESTRATOR_IMAGE", ""),
}
CONTAINERS = shlex.split(os.environ.get("METAQNN_TEST_CONTAINERS", "docker run"))

LOOK = """
import importlib.util, json, os, pathlib, shutil
def writable(path):
    try:
        pathlib.Path(path, "x").touch()
        return True
    except OSError:
        return False
names = "sh bash dash ash zsh busybox pip pip3 finish_image.py".split()
folders = ["/opt/metaqnn", "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", *os.get_exec_path()]
print(json.dumps({
    "user": [os.getuid(), os.getgid()],
    "programs": sorted(path for folder in folders for name in names if os.path.lexists(path := f"{folder}/{name}")),
    "modules": [name for name in ("pip", "ensurepip") if importlib.util.find_spec(name)],
    "writable": [path for path in ("/", "/opt/metaqnn/app", "/opt/metaqnn/packages", "/tmp") if writable(path)],
    "home": os.environ["HOME"],
}))
"""

EVERY_MODULE = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for name in sys.argv[2:]:
    importlib.import_module(name)
"""


def container(package: str, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    if not IMAGES[package]:
        pytest.skip(f"no variable names an image of {package}")
    command = [*CONTAINERS, "--rm", "--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=all"]
    command += ["--security-opt=no-new-privileges", *options, IMAGES[package], *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


def python(package: str, *arguments: str) -> str:
    ended = container(package, "-c", *arguments, options=("--entrypoint=python3",))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("package", IMAGES)
def test_there_is_no_pip_no_shell_and_nothing_to_write_to(package: str) -> None:
    found = json.loads(python(package, LOOK))
    assert found == {"user": [65532, 65532], "programs": [], "modules": [], "writable": ["/tmp"], "home": "/tmp"}
    assert container(package, "-c", "true", options=("--entrypoint=/bin/sh",)).returncode == 127


@pytest.mark.parametrize("package", IMAGES)
def test_the_command_starts(package: str) -> None:
    ended = container(package, "--help")
    assert ended.returncode == 0, ended.stderr
    assert "usage" in ended.stdout.lower()


def test_every_module_can_be_imported_and_what_a_submitted_search_asks_for() -> None:
    python(
        "metaqnn_orch", EVERY_MODULE, "metaqnn_orch", "prometheus_client", "mlflow", "mlflow.tracking", "tensorboardX"
    )
    python("metaqnn_orch", EVERY_MODULE, "metaqnn_trainer")
    assert python("metaqnn_orch", "import importlib.util as u; print(u.find_spec('torch'))").strip() == "None"


def test_trackers_and_metrics_work_in_it() -> None:
    made = python(
        "metaqnn_orch",
        "from metaqnn_orch.settings.model import TrackingSettings as T;"
        "from metaqnn_orch.reporting.tracking import trackers;"
        "from metaqnn_orch.reporting.metrics import Metrics; Metrics('run');"
        "print([of().name for of in trackers(T(mlflow='http://mlflow.example', tensorboard='/tmp/board'))])",
    )
    assert "MLflow" in made
    assert "TensorBoard in /tmp/board" in made


@pytest.mark.parametrize("package", IMAGES)
def test_labels(package: str) -> None:
    if not IMAGES[package]:
        pytest.skip(f"no variable names an image of {package}")
    inspect = [*CONTAINERS[:-1], "inspect", "--format", "{{json .Config.Labels}}", IMAGES[package]]
    said = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout
    labels = {name.rpartition(".")[2]: value for name, value in json.loads(said).items()}
    assert labels["version"] == __version__
    assert labels["licenses"] == "MIT"
    assert labels["revision"]
    assert labels["created"]
