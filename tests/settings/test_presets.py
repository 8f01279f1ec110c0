"""Presets of installed packages, found and read as our own are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from metaqnn_orch.search.searchers.evolution import EvolutionOptions
from metaqnn_orch.settings.presets import presets, troubles

PROGRAM = """
import json, sys
sys.path[:0] = sys.argv[1:]
from metaqnn_orch.errors import SettingsError
from metaqnn_orch.settings.presets import presets, troubles
from metaqnn_orch.settings.sources import load_settings

def seed(name):
    try:
        return load_settings(name, {}, [], {}).settings.seed
    except SettingsError as error:
        return f"{error}; {error.hint}"

print(json.dumps({"names": [*presets()], "troubles": troubles(), "seeds": {name: seed(name) for name in presets()}}))
"""


def install(place: Path, distribution: str, package: str, files: dict[str, str]) -> Path:
    """A folder that holds a distribution with a package of presets, as pip would leave it."""
    info = place / f"{distribution}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[metaqnn.presets]\npresets = {package}\n")
    if files:
        folder = place / package
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
    return place


def found(*places: Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, places)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def text(seed: int) -> str:
    return f"dataset: {{name: digits}}\nspace: {{image_size: 8, channels: 1, classes: 10}}\nseed: {seed}\n"


def test_presets_of_two_distributions_stand_beside_our_own(tmp_path: Path) -> None:
    ants = {"__init__.py": "", "ants.yaml": text(7), "digits.yaml": text(8), "notes.txt": "none", "bees.yaml": text(9)}
    first = install(tmp_path / "one", "ant-presets", "ant_presets", ants)
    second = install(tmp_path / "two", "bee-presets", "bee_presets", {"bees.yaml": text(10), "wasps.yaml": "seed: [\n"})
    seen = found(first, second)
    assert seen["names"] == sorted([*presets(), "ants", "bees", "wasps"])
    assert (seen["seeds"]["ants"], seen["seeds"]["bees"], seen["seeds"]["digits"]) == (7, 9, 0)
    assert seen["troubles"] == [
        "preset digits of ant-presets 1.0 is not used: our own has the name",
        "preset bees of bee-presets 1.0 is not used: that of ant-presets 1.0 has the name",
    ]
    assert seen["seeds"]["wasps"].startswith("preset wasps of bee-presets 1.0, line 2")


def test_a_package_that_cannot_be_loaded_keeps_nobody_from_the_others(tmp_path: Path) -> None:
    gone = install(tmp_path / "gone", "gone-presets", "gone", {})
    broken = install(tmp_path / "broken", "broken-presets", "broken_presets", {"__init__.py": "1 / 0"})
    seen = found(gone, broken)
    assert seen["names"] == [*presets()]
    assert seen["troubles"] == [
        "package broken_presets of broken-presets 1.0 cannot be loaded: ZeroDivisionError: division by zero",
        "package gone of gone-presets 1.0 cannot be loaded: ModuleNotFoundError: No module named 'gone'",
    ]


def test_here_nothing_is_wrong() -> None:
    assert troubles() == []


@pytest.mark.parametrize("name", presets())
def test_evolution_begins_to_mutate_before_its_preset_ends(name: str) -> None:
    written = yaml.safe_load(presets()[name].read())
    search = written.get("search", {})
    if search.get("method") != "evolution":
        return
    phases = written.get("schedule", {}).get("phases") or ()
    nets = sum(phase.get("unique", 0) for phase in phases)
    assert search.get("population", EvolutionOptions().population) < nets
