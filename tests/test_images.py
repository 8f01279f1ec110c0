"""What the images install and hold is what the packages need."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from metaqnn_trainer import __version__

ROOT = Path(__file__).parents[1]


def lines(file: Path) -> set[str]:
    return {line for line in file.read_text().splitlines() if line and not line.startswith("#")}


def test_the_orchestrators_requirements() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # The extras that a submitted search can ask for, and what the chart runs beside searches.
    names = ("metrics", "mlflow", "tensorboard", "dashboard")
    extras = [extra for name in names for extra in project["optional-dependencies"][name]]
    wanted = {*project["dependencies"], *extras}
    assert lines(ROOT / "orchestrator" / "requirements.in") == wanted
    pinned = (ROOT / "orchestrator" / "requirements.txt").read_text()
    known = {re.split("[<>=]", requirement)[0] for requirement in wanted}
    assert known <= set(re.findall(r"^([a-z0-9-]+)==", pinned, re.MULTILINE)), "make image-requirements"
    assert "torch" not in pinned
    assert pinned.count("--hash=") > pinned.count("==") > 10


EVERY_MODULE = """
import importlib, pkgutil, metaqnn_orch, metaqnn_trainer
assert all(package.__file__.startswith(%r) for package in (metaqnn_orch, metaqnn_trainer))
for package in (metaqnn_orch, metaqnn_trainer):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        # Datasets are listed, and never loaded: what reads them is the trainer's.
        if not module.name.endswith("__main__") and not module.name.startswith("metaqnn_trainer.sources.known."):
            importlib.import_module(module.name)
from metaqnn_trainer.spaces.cnn.registry import registry
assert registry().kinds and not registry().failures, registry().failures
from metaqnn_orch.application.installed import GROUPS
from metaqnn_trainer.catalogue import SOURCES
assert all(group.members() for kind, group in GROUPS.items() if kind != "task")
assert {"digits", "cifar10"} <= SOURCES.members().keys()
"""


def test_the_orchestrators_image_holds_all_that_it_imports(tmp_path: Path) -> None:
    app = tmp_path / "app"
    text = (ROOT / "orchestrator" / "Dockerfile").read_text()
    copies = [line.split()[1:] for line in text.splitlines() if line.startswith("COPY ") and "/opt/metaqnn/app" in line]
    for *sources, place in copies:
        target = tmp_path / Path(place).relative_to("/opt/metaqnn")
        for source in map(ROOT.joinpath, sources):
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
    environment = {**os.environ, "PYTHONPATH": str(app)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", EVERY_MODULE % str(app)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    # What a Pod's commands look for by name is there, too: doctor in `helm test` is asked about a dataset.
    command = ["doctor", "digits", "--store", str(tmp_path / "store"), "--launcher", "kubernetes", "-o", "json"]
    nowhere = {**environment, "KUBECONFIG": str(tmp_path / "none")}
    done = subprocess.run(
        [sys.executable, "-m", "metaqnn_orch", *command], env=nowhere, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    said = {diagnosis["what"]: diagnosis for diagnosis in json.loads(done.stdout)}
    assert said["dataset: digits"]["mark"] == "good", said
    assert said["cluster: credentials"]["mark"] == "bad", said


@pytest.mark.parametrize("dockerfile", ["trainer_image/Dockerfile", "orchestrator/Dockerfile"])
def test_the_last_stage_needs_no_shell_and_no_pip(dockerfile: str) -> None:
    text = (ROOT / dockerfile).read_text().replace("\\\n", " ")
    built, last = re.split(r"^FROM \${BASE_IMAGE}$", text, flags=re.MULTILINE)
    assert built.count("\nFROM ") == 1
    assert "--require-hashes" in built
    assert "--only-binary=:all:" in built
    assert "pip install" not in last
    for line in last.splitlines():
        command = line.split(" ", 1)[1] if line.startswith(("RUN", "ENTRYPOINT", "CMD")) else ""
        assert not command or json.loads(command)[0] == "python3", "a list of words is run without a shell"
    assert re.findall(r"^USER (.*)", last, re.MULTILINE)[-1] == "65532:65532"
    for label in ("title", "description", "licenses", "version", "revision", "created"):
        assert f"org.opencontainers.image.{label}=" in last


def test_what_installs_and_what_runs_commands_is_taken_away(tmp_path: Path) -> None:
    programs, modules = tmp_path / "bin", tmp_path / "modules"
    kept = ["bin/python3", "bin/pipe", "modules/pipes.py", "modules/numpy/__init__.py", "modules/pipx/__init__.py"]
    gone = ["bin/bash", "bin/dash", "bin/pip", "bin/pip3.13", "modules/pip/__init__.py", "modules/ensurepip/x.whl"]
    for name in (*kept, *gone, "modules/pip-25.0.dist-info/RECORD"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (programs / "sh").symlink_to("dash")
    (programs / "pip3").symlink_to("nowhere")
    (tmp_path / "also").symlink_to(programs)  # as /bin is of /usr/bin
    script = runpy.run_path(str(ROOT / "trainer_image" / "finish_image.py"))
    script["remove"](script["superfluous"]([programs, tmp_path / "also"], [modules]))
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir()}
    assert left == set(kept)


def test_images_say_of_which_commit_they_are() -> None:
    asked = ["make", "--no-print-directory", "--dry-run", "images", "BUILDER=builder", "REVISION=abc"]
    asked += ["SOURCE_DATE_EPOCH=1700000000", "BASE_IMAGE=base", "ORCHESTRATOR_BASE_IMAGE=other", "IMAGE_FLAGS=--flag"]
    clean = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    said = subprocess.run(asked, cwd=ROOT, env=clean, check=True, capture_output=True, text=True).stdout.splitlines()
    for line, base in zip(said, ("base", "other"), strict=True):
        assert line.startswith(f"builder build --flag --build-arg BASE_IMAGE={base} --build-arg BUILD_IMAGE={base} ")
        assert f"--build-arg VERSION={__version__} " in line
        assert "--build-arg REVISION=abc --build-arg CREATED=2023-11-14T22:13:20Z " in line
