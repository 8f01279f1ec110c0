"""What the images install is what the packages say that they need."""

from __future__ import annotations

import re
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
