"""A plug-in that cannot be used disturbs nothing, is shown with its error, and whoever needs it is told before anything
is created."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

METADATA = "Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n"
MODULES = {
    "odd_raises": "raise RuntimeError('two\\nlines \\x1b[31m of it')",
    "odd_leaves": "raise SystemExit(3)",
    "odd_needs": "import a_library_that_nobody_has",
    "odd_fine": "from metaqnn_orch.search.searchers.random import RandomSearch as Fine",
}
ENTRY_POINTS = """\
[metaqnn.searchers]
raises = odd_raises:Searcher
leaves = odd_leaves:Searcher
needs = odd_needs:Searcher
lacks = odd_fine:Nothing
random = odd_fine:Fine
fine = odd_fine:Fine
[metaqnn.spaces]
gone = odd_gone:Space
[metaqnn.layers]
broken = odd_raises:Layer
[metaqnn.tasks]
gone = odd_gone:Task
number = odd_kinds:NUMBER
[metaqnn.presets]
odd = odd_presets
gone = odd_gone
"""
SAYS = {
    ("searcher", "raises"): "cannot be loaded: RuntimeError: two lines of it",
    ("searcher", "leaves"): "cannot be loaded: SystemExit: 3",
    ("searcher", "needs"): "ModuleNotFoundError: No module named 'a_library_that_nobody_has'",
    ("searcher", "lacks"): "cannot be loaded: AttributeError: module 'odd_fine' has no attribute 'Nothing'",
    ("searcher", "random"): "the name is taken by the built-in one",
    ("space", "gone"): "No module named 'odd_gone'",
    ("layer", "broken"): "cannot be loaded: RuntimeError: two lines of it",
    ("task", "gone"): "No module named 'odd_gone'",
}


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A distribution of plug-ins, nearly all of them broken, in a folder of Python's path."""
    folder = tmp_path / "installed"
    metadata = folder / "odd-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(METADATA)
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def call(odd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(odd), *sys.path])}
    command = [sys.executable, "-m", "metaqnn_orch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=odd.parent, check=False)


def test_they_are_listed_with_their_errors(odd: Path) -> None:
    done = call(odd, "config", "plugins", "-o", "json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    troubles = {(one["kind"], one["name"]): one["trouble"] for one in found if one["distribution"] == "odd 1.0"}
    for key, says in SAYS.items():
        assert says in troubles.pop(key)
    assert troubles == {("searcher", "fine"): ""}
    assert all(one["trouble"] == "" for one in found if not one["distribution"]), "the built-in ones are none the worse"
    assert all(one["trouble"].isprintable() for one in found)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("search.method=raises", "search.method: searchers plug-in 'raises' of odd 1.0 cannot be loaded: RuntimeError"),
        ("search.method=nobody", "search.method: there is no 'nobody' among the searchers"),
        ("space.family=gone", "space.family: spaces plug-in 'gone' of odd 1.0 cannot be loaded"),
        ("task.name=nobody", "task.name: there is no 'nobody' among the tasks"),
    ],
)
def test_whoever_needs_one_is_told_and_nothing_is_created(odd: Path, change: str, says: str) -> None:
    done = call(odd, "start", "digits", "--run", "mine", "--store", "./runs", "--set", change)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (odd.parent / "runs").exists()


def test_a_search_beside_them_is_none_the_worse(odd: Path) -> None:
    done = call(
        odd, "start", "digits", "--run", "mine", "--store", "./runs", "--dry-run", "--set", "search.method=fine"
    )
    assert done.returncode == 0, done.stderr
