"""A plug-in that cannot be used disturbs nothing, is shown with its error, and whoever needs it is told before anything
is created."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.forked import forking

HAS_TORCH = find_spec("torch") is not None
NUMBER_OR_UNCHECKED = "cannot be used: it is of type int" if HAS_TORCH else "needs torch"
LAYERS = """
print("hello of a layer")
from dataclasses import dataclass
from metaqnn_trainer.spaces.base import Cost
from metaqnn_trainer.spaces.cnn.layer import Layer

@dataclass(frozen=True, kw_only=True)
class Rules:
    n: tuple[int, ...] = ()

@dataclass(frozen=True, slots=True)
class Half(Layer):
    n: int
    name, words, colour = "HA", "half a kind", "soft"
    section, rules = "half", Rules()
    builder = "odd_layers:build"
    def output(self, shape): return shape
    def objection(self, place): return None
    @classmethod
    def choices(cls, rules, size, classes): return (cls(n) for n in rules.n)

@dataclass(frozen=True, slots=True)
class Whole(Half):
    name, section = "WH", "whole"
    def cost(self, shape, model, before=None): return 1 / 0 if self.n == 7 else Cost(1, 1)
    def kept(self, shape, model, before=None): return 1
    @property
    def label(self): return "w", "w"

@dataclass(frozen=True, slots=True)
class Taken(Whole):
    name, section = "C", "taken"
"""
METADATA = "Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n"
MODULES = {
    "odd_raises": "raise RuntimeError('two\\nlines \\x1b[31m of it')",
    "odd_leaves": "raise SystemExit(3)",
    "odd_needs": "import a_library_that_nobody_has",
    "odd_fine": "from metaqnn_orch.search.searchers.random import RandomSearch as Fine\nNUMBER = 7",
    "odd_prints": "print('hello')\nfrom odd_fine import Fine",
    "odd_interrupts": "raise KeyboardInterrupt('now')",
    "odd_layers": LAYERS,
}
ENTRY_POINTS = """\
[metaqnn.searchers]
raises = odd_raises:Searcher
leaves = odd_leaves:Searcher
needs = odd_needs:Searcher
lacks = odd_fine:Nothing
random = odd_fine:Fine
fine = odd_fine:Fine
number = odd_fine:NUMBER
prints = odd_prints:Fine
interrupts = odd_interrupts:Searcher
[metaqnn.spaces]
gone = odd_gone:Space
number = odd_fine:NUMBER
[metaqnn.layers]
broken = odd_raises:Layer
half = odd_layers:Half
whole = odd_layers:Whole
zz-taken = odd_layers:Taken
[metaqnn.datasets]
number = odd_fine:NUMBER
[metaqnn.tasks]
gone = odd_gone:Task
number = odd_fine:NUMBER
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
    (
        "searcher",
        "number",
    ): "cannot be used: it is of type int, and a subclass of metaqnn_orch.search.searcher",
    ("searcher", "interrupts"): "cannot be loaded: KeyboardInterrupt: now",
    ("space", "number"): "cannot be used: it is of type int, and a subclass of metaqnn_trainer.spaces.base.Space",
    ("layer", "half"): "layers plug-in 'half' of odd 1.0 cannot be used: it does not define cost, kept, label",
    ("layer", "zz-taken"): "C, space.taken: taken by layers plug-in 'conv'",
    ("task", "number"): NUMBER_OR_UNCHECKED,
    ("dataset", "number"): NUMBER_OR_UNCHECKED,
    ("preset", "gone"): "package odd_gone of odd 1.0 cannot be loaded: ModuleNotFoundError",
    ("preset", "digits"): "preset digits of odd 1.0 is not used: our own has the name",
    ("space", "gone"): "No module named 'odd_gone'",
    ("layer", "broken"): "cannot be loaded: RuntimeError: two lines of it",
    ("task", "gone"): "No module named 'odd_gone'" if HAS_TORCH else "needs torch",
}


def install(folder: Path) -> Path:
    """A distribution of plug-ins, nearly all of them broken, for a folder of Python's path."""
    metadata = folder / "odd-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(METADATA)
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "odd_presets").mkdir()
    (folder / "odd_presets" / "__init__.py").write_text("print('hello of presets')")
    for name in ("odd", "digits"):
        (folder / "odd_presets" / f"{name}.yaml").write_text("seed: 7\n")
    return folder


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It is installed in this folder, which nobody changes; beside it is a Python that starts at once."""
    folder = install(tmp_path_factory.mktemp("odd") / "installed")
    forking(folder.parent, path=path_with(folder))
    return folder


def path_with(folder: Path) -> str:
    return os.pathsep.join([str(folder), *sys.path])


def call(folder: Path, *arguments: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-m", "metaqnn_orch", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path_with(folder)},
        cwd=folder.parent,
        check=False,
    )


def call_forked(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return call(folder, *arguments, python=str(folder.parent / "python"))


def test_they_are_listed_with_their_errors(odd: Path) -> None:
    done = call(odd, "config", "plugins", "-o", "json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    troubles = {(one["kind"], one["name"]): one["trouble"] for one in found if one["distribution"] == "odd 1.0"}
    for key, says in SAYS.items():
        assert says in troubles.pop(key)
    fine = {("searcher", "fine"), ("searcher", "prints"), ("layer", "whole"), ("preset", "odd")}
    assert troubles == dict.fromkeys(fine, "")
    assert "hello of a layer" in done.stderr
    assert all(one["trouble"] == "" for one in found if not one["distribution"]), "the built-in ones are none the worse"
    assert all(one["trouble"].isprintable() for one in found)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("search.method=raises", "search.method: searchers plug-in 'raises' of odd 1.0 cannot be loaded: RuntimeError"),
        ("search.method=nobody", "search.method: there is no 'nobody' among the searchers"),
        ("space.family=gone", "space.family: spaces plug-in 'gone' of odd 1.0 cannot be loaded"),
        ("task.name=nobody", "task.name: there is no 'nobody' among the tasks"),
        ("space.half={n: [2]}", "layers plug-in 'half' of odd 1.0 cannot be used: it does not define cost"),
        ("space.whole={n: [0]}", "space.whole makes WH(0) (a layer of layers plug-in 'whole' of odd 1.0)"),
        ("space={whole: {n: [7]}, max_macs: 100000}", "layers plug-in 'whole' of odd 1.0 failed"),
        ("search.temprature=1", "unknown setting search.temprature (from "),
    ],
)
def test_whoever_needs_one_is_told_and_nothing_is_created(odd: Path, change: str, says: str) -> None:
    done = call_forked(odd, "start", "digits", "--run", "mine", "--store", "./runs", "--set", change)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (odd.parent / "runs").exists()


def test_a_preset_is_named_with_its_distribution(odd: Path) -> None:
    done = call_forked(odd, "config", "show", "odd")
    assert done.returncode == 2
    assert "dataset must be given (from odd of odd 1.0)" in done.stderr


def test_a_search_beside_them_is_none_the_worse(odd: Path) -> None:
    done = call_forked(
        odd, "start", "digits", "--run", "mine", "--store", "./runs", "--dry-run", "--set", "search.method=fine"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["odd_layers.py", "odd_presets/__init__.py"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_none_is_blamed_for_a_signal_that_comes_while_it_is_imported(
    module: str, number: signal.Signals, tmp_path: Path
) -> None:
    odd = install(tmp_path / "installed")
    text = (odd / module).read_text()
    (odd / module).write_text(f"import signal\nsignal.raise_signal({int(number)})\n{text}")
    done = call(odd, "config", "show", "digits")
    assert (done.returncode, done.stdout, done.stderr.count("odd")) == (128 + number, "", 0), done.stderr
