"""Trains one step of a design and measures what comes of it: it shows that the nets of a run can be trained here."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from metaqnn_trainer.contract.messages import Recipe
from metaqnn_trainer.contract.result import EpochRecord
from metaqnn_trainer.errors import Preempted, RunFault
from metaqnn_trainer.training.device import device_name
from metaqnn_trainer.training.outcome import Subject
from metaqnn_trainer.training.session import train

MEASURING: Final = 60.0  # seconds from the first step, after which measuring a large validation part is cut off


class OneStep(NamedTuple):
    """What one step showed."""

    device: str
    examples: int
    """Training examples of the step."""
    of: int
    """Training examples of the dataset."""
    measures: list[str]
    """Names of the measures; empty where measuring was cut off."""
    seconds: float
    """Seconds for the step and for measuring."""


def short(recipe: Recipe) -> Recipe:
    """The recipe for one epoch at one learning rate."""
    return recipe.model_copy(update={"epochs": 1, "phases": (), "max_rates": 1, "evaluate_test": False})


def one_step(subject: Subject) -> OneStep:
    """Train an epoch of one batch, and measure. The recipe is a short one.

    Raises:
        RunFault: the net does not fit the device.
    """
    examples = subject.task.examples(subject.data, "train")
    batch = min(subject.spec.recipe.batch_size, examples)
    begun, seen = time.monotonic(), list[EpochRecord]()

    try:  # `stop` is asked at once, after the step, and after each batch that is measured
        training = train(subject._replace(most=batch), seen.append, stop=lambda: time.monotonic() - begun > MEASURING)
    except Preempted:
        pass
    else:
        if training.status == "too_large":
            raise RunFault(f"{subject.spec.net} is too large: {training.reason}")
    measures = sorted(seen[0].measures) if seen else []
    return OneStep(device_name(subject.device), batch, examples, measures, time.monotonic() - begun)
