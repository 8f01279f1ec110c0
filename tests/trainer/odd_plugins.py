"""A distribution whose tasks and layer kinds are at fault, each in its own way."""

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
MODULES: Final = {"odd_tasks.py": _TASKS}


def install(folder: Path) -> Path:
    """Install the distribution below `folder`. Returns the folder for PYTHONPATH."""
    place = folder / "installed"
    metadata = place / "odd-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    classes = {name: "".join(part.capitalize() for part in name.split("-")) for name in TASKS}
    tasks = [f"{name} = odd_tasks:{attribute}" for name, attribute in {**classes, "number": "NUMBER"}.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[metaqnn.tasks]", *tasks, ""]))
    for name, text in MODULES.items():
        (place / name).write_text(text)
    return place
