"""Runs whose plug-ins are not installed here: each was made by a process that had the distribution metaqnn-gone 1.0."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.cli.conftest import clean_environment
from tests.forked import forking

NAME: Final = "metaqnn-gone"
NEEDS: Final = f"needs {NAME} 1.0, which is not installed here"
INSTALL: Final = f"pip install {NAME}==1.0"
_MODULE: Final = """
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel

from metaqnn_orch.search.sampling import new_design
from metaqnn_orch.search.searcher import Proposal, Searcher
from metaqnn_trainer.spaces.base import Cost, Part, Space
from metaqnn_trainer.spaces.cnn.layer import Layer


class Heat(BaseModel):
    heat: float = 0.1


class Random(Searcher):
    Options, summary = Heat, "gone: draws at random"

    def propose(self, step, known):
        return Proposal(new_design(self.space, known.designs, self.randomness("propose", step)))

    def tell(self, experience):
        pass


class Size(BaseModel):
    depth: int = 3
    image_size: int = 8
    channels: int = 1
    classes: int = 10


class Letters(Space):
    Options, start = Size, ()

    def legal(self, state):
        return ["a", "b"]

    def step(self, state, move):
        return (*state, move) if len(state) + 1 < self.options.depth else None

    def text(self, moves):
        return "-".join(moves)

    def parse(self, text):
        return text.split("-")

    def describe(self, design):
        return [Part(move, move, Cost(8, 8)) for move in self.parse(design)]

    def net(self, design):
        return f"[C({16 if design.startswith('a') else 32},3,1), SM(10)]"

    def cost(self, design):
        return Cost(8, 8)


@dataclass(frozen=True, kw_only=True)
class Rules:
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Nothing(Layer):
    number: int
    name, words, colour, section, rules, builder = "ID", "nothing", "soft", "gone", Rules(), "metaqnn_gone:build"

    def output(self, shape):
        return shape

    def cost(self, shape, model, before=None):
        return Cost(0, 0)

    def kept(self, shape, model, before=None):
        return 0

    label = property(lambda self: ("nothing", ""))

    @classmethod
    def choices(cls, rules, size, classes):
        return (cls(number) for number in rules.numbers)

    def objection(self, place):
        return None


def build(layer, shape, options, before):
    from torch import nn

    return [("nothing", nn.Identity())]


def read(path, report):
    from metaqnn_trainer.sources.base import LabelledImages, Source

    labels = np.arange(200) % 10
    images = np.random.default_rng(0).integers(0, 99, (200, 1, 8, 8)) + 15 * labels[:, None, None, None]
    part = LabelledImages(images.astype(np.uint8), labels.astype(np.int64))
    return Source(part, part, [str(label) for label in range(10)], "made")
"""
_TASK: Final = """
from pydantic import BaseModel
from metaqnn_trainer.tasks.classification import Classification


class Gone(Classification):
    class Options(BaseModel):
        pass
"""
_ENTRIES: Final = """
[metaqnn.searchers]
gone = metaqnn_gone:Random
[metaqnn.spaces]
gone = metaqnn_gone:Letters
[metaqnn.layers]
gone = metaqnn_gone:Nothing
[metaqnn.datasets]
gone = metaqnn_gone:read
[metaqnn.tasks]
gone = metaqnn_gone_task:Gone
"""
KINDS: Final = {
    "searchers": ("--set=search={method: gone, heat: 0.2}",),
    "spaces": ("--set=space={family: gone, depth: 3}", "--set=search.method=random"),
    "tasks": ("--set=task.name=gone",),
    "layers": ("--set=space.gone={numbers: [1, 2, 3, 4, 5, 6]}", "--set=search.method=random"),
    "datasets": ("--set=dataset.name=gone",),
}
"""What a run says that needs the plug-in of a kind. The run is named as the kind is."""
_QUICK: Final = (
    "digits",
    "--parallel=1",
    "--max-trials=2",
    "--set=recipe={epochs: 1, max_rates: 1, chance_factor: 1}",
    "--set=schedule.phases=[{epsilon: 1, unique: 4}]",
)
_SMALL: Final = (
    "--set=space.max_layers=2",
    "--set=space.terminations=[SM]",
    "--set=space.convolution={filters: [16], kernels: [3]}",
    "--set=space.max_macs=200000",
)


def install(folder: Path, version: str = "1.0", option: str = "depth") -> Path:
    """A folder for PYTHONPATH with the distribution; `option` is the name of an option of its space."""
    metadata = folder / f"metaqnn_gone-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(_ENTRIES)
    (folder / "metaqnn_gone.py").write_text(_MODULE.replace("depth", option))
    (folder / "metaqnn_gone_task.py").write_text(_TASK)
    return folder


def start(store: Path, installed: Path, kind: str, python: str = sys.executable) -> None:
    """Search with the plug-in of a kind."""
    small = () if kind == "spaces" else _SMALL
    if kind == "datasets":
        _call(python, installed, "dataset", "push", "gone", "--store", store)
    _call(python, installed, "start", *_QUICK, *small, *KINDS[kind], "--run", kind, "--store", store)


def _call(python: str, installed: Path, *command: object) -> None:
    environment = {**clean_environment(), "PYTHONPATH": str(installed)}
    words = [python, "-m", "metaqnn_orch", *map(str, command)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def runs_of_gone(factory: pytest.TempPathFactory, worker: str) -> Path:
    """A store with a run for each kind, really trained, once for all processes of pytest. Change copies alone."""
    base = factory.getbasetemp()
    place = (base if worker == "master" else base.parent) / "gone"
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "made").exists():
            installed = install(place / "installed")
            python = forking(place, path=str(installed))
            for kind in KINDS:
                start(place / "store", installed, kind, python)
            Path(python).unlink()
            (place / "made").touch()
    return place / "store"


def forget_plugins(store: Path, run: str) -> None:
    """Have run.json name no plug-in, as that of an earlier release names no layer kind."""
    path = store / "runs" / run / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "plugins": {}}))
