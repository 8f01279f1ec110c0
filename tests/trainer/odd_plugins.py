"""A distribution whose tasks, layer kinds and sources of datasets are at fault, each in its own way."""

from __future__ import annotations

from pathlib import Path
from typing import Final

IDENTITY: Final = "odd 1.0"

_TASKS: Final = """
import math
import torch
from pydantic import BaseModel
from metaqnn_trainer.tasks.base import Task
from metaqnn_trainer.tasks.classification import Classification

NUMBER = 7

class Abstract(Task):
    measure = "accuracy"

class NoOptions(Classification):
    Options = 7

class Loads(Classification):
    def load(self, read, device):
        raise KeyError("no such table")

class Nan(Classification):
    measure = "m"
    def evaluate(self, *a):
        return {**super().evaluate(*a), "m": math.nan}

class RewardNan(Classification):
    def reward(self, measures):
        return math.inf

class RewardNone(Classification):
    def reward(self, measures):
        return None

class Missing(Classification):
    measure = "m"

class Upper(Classification):
    def evaluate(self, *a):
        return {**super().evaluate(*a), "My Measure": 1.0}

class Huge(Classification):
    def evaluate(self, *a):
        return {**super().evaluate(*a), "m": 1e300}

class Text(Classification):
    def evaluate(self, *a):
        return {**super().evaluate(*a), "m": "0.5"}

class NoMeasures(Classification):
    def evaluate(self, *a):
        return 0.5

class Matrix(Classification):
    def loss(self, model, *batch):
        return model(batch[0])

class Raises(Classification):
    def loss(self, model, *batch):
        raise ValueError("loss is lost: see https://odd.example/errors")

class Detached(Classification):
    def loss(self, model, *batch):
        return super().loss(model, *batch).detach()

class Model(BaseModel):
    n: int

class Foreign(Classification):
    def evaluate(self, *a):
        Model(n="many")

class Burst(Classification):
    def loss(self, model, *batch):
        return super().loss(model, *batch) * 1e30

class Fine(Classification):
    def evaluate(self, *a):
        return {**super().evaluate(*a), "m": torch.tensor(0.5)}
"""
TASKS: Final = (
    *("abstract", "no-options", "loads", "nan", "reward-nan", "reward-none", "missing", "upper", "huge", "text"),
    *("no-measures", "matrix", "raises", "detached", "foreign", "fine", "burst"),
)
_LAYERS: Final = """
from dataclasses import dataclass
from metaqnn_trainer.spaces.base import Cost
from metaqnn_trainer.spaces.cnn.layer import Layer, Shape

@dataclass(frozen=True, slots=True)
class Good(Layer):
    n: int
    name, words, colour = "GOOD", "good", "conv"
    builder = "odd_modules:convolution"
    def output(self, shape): return Shape(self.n, shape.size)
    def cost(self, shape, model, before=None): return Cost(9 * shape.channels * self.n + self.n, 1)
    def kept(self, shape, model, before=None): return 1
    @property
    def label(self): return "w", "w"
    @classmethod
    def choices(cls, rules, size, classes): return ()
    def objection(self, place): return None

@dataclass(frozen=True, slots=True)
class Dear(Good):
    name = "DEAR"
    def cost(self, shape, model, before=None): return Cost(5, 1)

@dataclass(frozen=True, slots=True)
class Wrong(Good):
    name = "WRONG"
    def output(self, shape): return Shape(self.n + 1, shape.size)

@dataclass(frozen=True, slots=True)
class Inner(Good):
    name = "INNER"
    builder = "odd_modules:failing"

@dataclass(frozen=True, slots=True)
class Bare(Good):
    name = "BARE"
    builder = "odd_modules:bare"

@dataclass(frozen=True, slots=True)
class Gone(Good):
    name = "GONE"
    builder = "odd_modules:gone"
"""
_MODULES: Final = """
from torch import nn

def convolution(layer, shape, options, before):
    return [("conv", nn.Conv2d(shape.channels, layer.n, 3, padding=1))]

class Failing(nn.Conv2d):
    def forward(self, x):
        raise IndexError("out of channels")

def failing(layer, shape, options, before):
    return [("conv", Failing(shape.channels, layer.n, 3, padding=1))]

def bare(layer, shape, options, before):
    return nn.Conv2d(shape.channels, layer.n, 3, padding=1)
"""
_SOURCES: Final = """
import numpy as np
from metaqnn_trainer.sources.base import Examples, LabelledImages, Source

NUMBER = 7

def raises(path, report):
    raise ZeroDivisionError("no data today")

def mapping(path, report):
    return {"x": 1}

def texts(path, report):
    return Examples({"train_x": ["a"]}, {"train": 1, "validation": 1, "test": 0, "source": "texts"})

def empty(path, report):
    return Examples({"train_x": np.zeros(1)}, {"train": 0, "validation": 1, "test": 0, "source": "texts"})

def small(path, report):
    images = LabelledImages(np.zeros((2, 1, 4, 4), np.uint8), np.array([0, 1]))
    return Source(images, images, ["a", "b"], "two images")
"""
SOURCES: Final = ("raises", "mapping", "texts", "empty", "small")
LAYERS: Final = ("good", "dear", "wrong", "inner", "bare", "gone")
MODULES: Final = {
    "odd_tasks.py": _TASKS,
    "odd_layers.py": _LAYERS,
    "odd_modules.py": _MODULES,
    "odd_sources.py": _SOURCES,
}


def install(folder: Path) -> Path:
    """Install the distribution below `folder`. Returns the folder for PYTHONPATH."""
    place = folder / "installed"
    metadata = place / "odd-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    classes = {name: "".join(part.capitalize() for part in name.split("-")) for name in TASKS}
    tasks = [f"{name} = odd_tasks:{attribute}" for name, attribute in {**classes, "number": "NUMBER"}.items()]
    layers = [f"{name} = odd_layers:{name.capitalize()}" for name in LAYERS]
    sources = [f"{name} = odd_sources:{name}" for name in SOURCES] + ["number = odd_sources:NUMBER"]
    groups = {"tasks": tasks, "layers": layers, "datasets": sources}
    lines = [line for group, members in groups.items() for line in (f"[metaqnn.{group}]", *members)]
    (metadata / "entry_points.txt").write_text("\n".join([*lines, ""]))
    for name, text in MODULES.items():
        (place / name).write_text(text)
    return place
