"""What the images install and hold is what the packages need."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def lines(file: Path) -> set[str]:
    return {line for line in file.read_text().splitlines() if line and not line.startswith("#")}


def test_the_orchestrators_requirements() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {*project["dependencies"], *project["optional-dependencies"]["metrics"]}
    assert lines(ROOT / "orchestrator" / "requirements.in") == wanted
    pinned = (ROOT / "orchestrator" / "requirements.txt").read_text()
    names = {re.split("[<>=]", requirement)[0] for requirement in wanted}
    assert names <= set(re.findall(r"^([a-z0-9-]+)==", pinned, re.MULTILINE)), "make image-requirements"
    assert "torch" not in pinned
    assert pinned.count("--hash=") > pinned.count("==") > 10


EVERY_MODULE = """
import importlib, pkgutil, metaqnn_orch, metaqnn_trainer
assert all(package.__file__.startswith(%r) for package in (metaqnn_orch, metaqnn_trainer))
for package in (metaqnn_orch, metaqnn_trainer):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
from metaqnn_trainer.spaces.cnn.registry import registry
assert registry().kinds and not registry().failures, registry().failures
"""


def test_the_orchestrators_image_holds_all_that_it_imports(tmp_path: Path) -> None:
    app = tmp_path / "app"
    text = (ROOT / "orchestrator" / "Dockerfile").read_text()
    copies = [line.split()[1:] for line in text.splitlines() if line.startswith("COPY") and "/opt/metaqnn/app" in line]
    for *sources, place in copies:
        target = tmp_path / Path(place).relative_to("/opt/metaqnn")
        for source in map(ROOT.joinpath, sources):
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
    environment = {**os.environ, "PYTHONPATH": str(app)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", EVERY_MODULE % str(app)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
