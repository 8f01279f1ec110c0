"""The subject of a training, and its outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from sys import maxsize
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metaqnn_trainer.contract.messages import TrialSpec
from metaqnn_trainer.contract.result import EpochRecord, Position, Prediction, Status
from metaqnn_trainer.tasks.base import Task

Weights = dict[str, Tensor]


@dataclass(slots=True)
class Training:
    """The outcome of a training, filled in while it goes on: where memory runs out, it says how far training came."""

    chance: float
    measure: str = ""
    """Name of the measure that is the reward, where one is."""
    status: Status = "untrainable"
    reason: str = ""
    reward: float = field(init=False)
    """Reward of the best epoch; chance where no epoch counts."""
    last_reward: float = field(init=False)
    measures: dict[str, float] = field(default_factory=dict)
    """Measures of the best epoch."""
    best_epoch: int = 0
    epochs: int = 0
    test_measures: dict[str, float] = field(default_factory=dict)
    weights: Weights | None = None
    """Weights of the best epoch, in main memory."""
    records: list[EpochRecord] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)
    images: int = 0
    """Examples seen in training, over all learning rates."""
    seconds: float = 0.0
    """Seconds of training on them, without evaluation."""
    prediction: Prediction | None = None
    """The prediction for which training was stopped early."""
    resumed_from: Position | None = None
    micro_batch: int | None = None
    """Examples in a micro-batch, where a whole batch does not fit the device."""
    pictures: dict[str, bytes] = field(default_factory=dict)
    """PNG files of the best epoch's weights."""
    first_step: float | None = None
    """When the first step began, by time.monotonic; None where no step was taken."""
    last_step: float | None = None
    """When the last step ended."""
    estimated_memory: int | None = None
    """Bytes of the device's memory that training needs at least, where it can be estimated."""
    peak_memory: int | None = None
    """Bytes of the device's memory that training used, where it is known."""

    def __post_init__(self) -> None:
        self.fall_back()

    def fall_back(self) -> None:
        """Reset the outcome: no epoch counts."""
        self.reward = self.last_reward = self.chance
        self.best_epoch, self.measures, self.weights = 0, {}, None

    def count(self, record: EpochRecord) -> bool:
        """Take in an epoch that learned. Returns whether it is the best so far."""
        self.epochs, self.last_reward = record.epoch, record.reward
        if record.epoch > 1 and record.reward <= self.reward:
            return False
        self.reward, self.measures, self.best_epoch = record.reward, record.measures, record.epoch
        return True


class Subject(NamedTuple):
    """The design to train, its task and its data."""

    task: Task
    data: Any
    """The data, as the task loaded it."""
    device: torch.device
    cost: tuple[int, int]
    """The design's parameters and multiply-accumulates."""
    most: int = maxsize
    """Training examples of an epoch at most, where it is to be a short one."""

    @property
    def spec(self) -> TrialSpec:
        return self.task.spec
