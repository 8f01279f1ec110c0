"""A distribution with another task and another family of designs, made of tests/tasks and tests/tables."""

from __future__ import annotations

from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent
MODULES: Final = ("tasks/regression.py", "tasks/widths.py", "tables/diabetes.py", "tables/mutation.py")
PROJECT: Final = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "metaqnn-tables"
version = "{version}"

[project.entry-points."metaqnn.tasks"]
regression = "metaqnn_tables.regression:PLUGIN"
[project.entry-points."metaqnn.spaces"]
widths = "metaqnn_tables.widths:PLUGIN"
[project.entry-points."metaqnn.datasets"]
diabetes = "metaqnn_tables.diabetes:PLUGIN"
[project.entry-points."metaqnn.searchers"]
mutation = "metaqnn_tables.mutation:PLUGIN"
[project.entry-points."metaqnn.presets"]
presets = "metaqnn_tables.presets"
"""


def distribution(folder: Path, version: str = "0.1.0") -> Path:
    """Its sources, below `folder`."""
    sources = folder / "metaqnn-tables"
    presets = sources / "metaqnn_tables" / "presets"
    presets.mkdir(parents=True, exist_ok=True)
    (sources / "pyproject.toml").write_text(PROJECT.format(version=version))
    for module in MODULES:
        (presets.parent / Path(module).name).write_text((TESTS / module).read_text())
    for package in (presets.parent, presets):
        (package / "__init__.py").write_text('"""Made up."""\n')
    (presets / "diabetes.yaml").write_text((TESTS / "tables" / "presets" / "diabetes.yaml").read_text())
    return sources
