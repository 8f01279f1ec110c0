"""What is trained, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metaqnn_trainer.contract.messages import TrialSpec
from metaqnn_trainer.contract.result import EpochRecord, Position, Prediction, Status
from metaqnn_trainer.tasks.base import Task

Weights = dict[str, Tensor]


@dataclass(slots=True)
class Training:
    """How training went, filled in as it goes: where memory runs out, it says how far it came."""

    chance: float
    measure: str = ""
    """Which of the measures is the reward, where one is."""
    status: Status = "untrainable"
    reason: str = ""
    reward: float = field(init=False)
    """Of the best epoch; chance where none counts."""
    last_reward: float = field(init=False)
    measures: dict[str, float] = field(default_factory=dict)
    """Of the best epoch."""
    best_epoch: int = 0
    epochs: int = 0
    test_measures: dict[str, float] = field(default_factory=dict)
    weights: Weights | None = None
    """Of the best epoch, in main memory."""
    records: list[EpochRecord] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)
    images: int = 0
    """Examples seen while training, over all rates."""
    seconds: float = 0.0
    """Spent on them; evaluation not counted."""
    prediction: Prediction | None = None
    """Why it was stopped early."""
    resumed_from: Position | None = None
    micro_batch: int | None = None
    """Examples at once, where a whole batch does not fit the device."""
    pictures: dict[str, bytes] = field(default_factory=dict)
    """PNG files of the best epoch's weights."""
    first_step: float | None = None
    """When it began, by time.monotonic; None where no step was taken."""
    last_step: float | None = None
    """When it ended."""
    estimated_memory: int | None = None
    """Bytes that training takes of the device at least, foreseen where that can be."""
    peak_memory: int | None = None
    """Bytes that it took, where that can be told."""

    def __post_init__(self) -> None:
        self.fall_back()

    def fall_back(self) -> None:
        """No epoch counts."""
        self.reward = self.last_reward = self.chance
        self.best_epoch, self.measures, self.weights = 0, {}, None

    def count(self, record: EpochRecord) -> bool:
        """Take in an epoch that learned; whether it is the best so far."""
        self.epochs, self.last_reward = record.epoch, record.reward
        if record.epoch > 1 and record.reward <= self.reward:
            return False
        self.reward, self.measures, self.best_epoch = record.reward, record.measures, record.epoch
        return True


class Subject(NamedTuple):
    """What is trained."""

    task: Task
    data: Any
    """As the task loaded it."""
    device: torch.device
    cost: tuple[int, int]
    """The design's parameters and multiply-accumulates."""

    @property
    def spec(self) -> TrialSpec:
        return self.task.spec
