"""What the trainer answers, and how its process ends."""

from __future__ import annotations

from contextlib import suppress
from enum import IntEnum
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from metaqnn_trainer.contract import bounds
from metaqnn_trainer.contract.codec import SCHEMA, Message
from metaqnn_trainer.contract.keys import NAME_PATTERN, TRIAL_PATTERN

Status = Literal["completed", "untrainable", "too_large", "timed_out", "stopped_early"]
"""What became of a trial, each of them an answer that the agent learns from.

untrainable: every learning rate stayed at chance; too_large: the device's memory did not suffice. Both count as chance,
which is the task's to say. timed_out: the time limit came before the last epoch. The best epoch until then counts, as
it would had the recipe had no more epochs: what a net reaches in the time that it is given is what is asked. Chance, if
none was whole.
stopped_early: it would probably not have beaten the best net, and what it would have reached was foretold (EarlyEnd).
"""


class ExitCode(IntEnum):
    """How a trainer's process ends. It says only whether an answer was delivered; the answer is result.json."""

    DELIVERED = 0  # result.json is there, whatever it says
    BAD_REQUEST = 11  # the request cannot be read, or asks for what cannot be built
    DATASET = 12  # the dataset is missing, or is not the one that was asked for
    INTERNAL = 13  # an error of ours
    DEVICE = 14  # a GPU was asked for and none is usable, or it failed: the node's fault, and no net's
    STORE = 15  # the object store did not answer, or not now
    HOST_MEMORY = 16  # the machine's own memory did not suffice, and no net is to blame
    STORE_REFUSED = 17  # the object store refuses for good to write or to read an object, or stays full
    PREEMPTED = 143  # asked to stop by SIGTERM; 128 + 15, as shells and Kubernetes write it


class Artifact(Message):
    """A sibling of result.json, so that whoever reads it can tell whether it is whole."""

    size: int = Field(ge=0, le=1 << 40)
    """Bytes."""
    sha256: bounds.Sha256


class Position(Message):
    """A moment of training: before this step (from 0) of this epoch (from 1) at this learning rate (from 1)."""

    rate: int = Field(1, ge=1, le=bounds.MAX_RATES)
    epoch: int = Field(1, ge=1, le=bounds.MAX_EPOCHS + 1)
    step: int = Field(0, ge=0, le=10**9)

    def __str__(self) -> str:
        return f"rate {self.rate}, epoch {self.epoch}, step {self.step}"


class Prediction(Message):
    """What a net that was stopped early would probably have reached."""

    accuracy: bounds.Reward
    """Expected of the best epoch: its reward, which is the validation accuracy where images are classified."""
    spread: float = Field(ge=0, le=bounds.MAX_SPREAD)
    """Standard deviation of what it would have been."""
    best: bounds.Reward
    """That it would not have beaten."""

    def reward(self, measured: float) -> float:
        """What the search is told of a net whose best epoch was `measured`: no less than that, and no more than the
        best net."""
        return min(max(measured, self.accuracy), self.best)


class EpochRecord(Message):
    """One line of history.jsonl."""

    rate: int = Field(ge=1, le=bounds.MAX_RATES)
    """Which of the learning rates tried, from 1."""
    epoch: int = Field(ge=1, le=bounds.MAX_EPOCHS)
    learning_rate: bounds.LearningRate
    train_loss: float | None = Field(ge=-1e39, le=1e39)
    """Mean over the epoch's examples, of numbers in single precision; null when it was not finite."""
    reward: bounds.Reward
    """On the validation split."""
    measures: bounds.Measures = Field({})
    val_accuracy: bounds.Probability | None = None
    """Where images are classified."""
    seconds: bounds.Seconds

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_release(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "reward" in values or "val_accuracy" not in values:
            return values
        accuracy = values["val_accuracy"]
        return values | {"reward": accuracy, "measures": {"accuracy": accuracy}}


class TrainingResult(Message):
    """result.json: written last, only if absent. Its presence means that the trial is done."""

    schema_version: Literal[1] = SCHEMA
    run: str = Field(pattern=NAME_PATTERN)
    trial: str = Field(pattern=TRIAL_PATTERN)
    spec_digest: bounds.Sha256
    attempt: bounds.Attempt
    status: Status
    reason: str = Field("", max_length=500)
    """In words, for whatever is not completed."""
    reward: bounds.Reward
    """What the search is told: of the best epoch, or what was foretold of a net that was stopped early."""
    measured: bounds.Reward | None = None
    """Of a net that was stopped early, and of no other: the reward of its best epoch."""
    measures: bounds.Measures = Field({})
    """Of the best epoch, on the validation split; none where no epoch counts."""
    chance: bounds.Reward | None = None
    """What a net is worth that has learned nothing. Results of earlier releases do not say it."""
    val_accuracy: bounds.Probability | None = None
    """Where images are classified: best over the epochs, measured on the validation split."""
    best_epoch: int = Field(ge=0, le=bounds.MAX_EPOCHS)
    """From 1; 0 where no epoch counts."""
    last_val_accuracy: bounds.Probability | None = None
    prediction: Prediction | None = None
    """Of a net that was stopped early, and of no other."""
    test_measures: bounds.Measures = Field({})
    """With the best epoch's weights, on the test split; none where nobody asked for it."""
    test_accuracy: bounds.Probability | None = None
    """Where images are classified."""
    epochs: int = Field(ge=0, le=bounds.MAX_EPOCHS)
    """Finished, at the last learning rate tried."""
    learning_rates: list[bounds.LearningRate] = Field(max_length=bounds.MAX_RATES)
    """First rates tried, in order."""
    params: bounds.Cost
    macs: bounds.Cost
    """Multiply-accumulates, one example forward."""
    images_per_second: float = Field(ge=0, le=bounds.MAX_SPEED)
    """Training examples, over all rates tried; evaluation not counted."""
    seconds: bounds.Seconds
    """From the request read to the result about to be written, this attempt alone."""
    startup_seconds: bounds.Seconds | None = None
    """To the first step, from the process's start, or from the order where it had trained another net before."""
    closing_seconds: bounds.Seconds | None = None
    """From the last step to the result about to be written."""
    resumed_from: Position | None = None
    """Where an earlier attempt's checkpoint let this one begin."""
    estimated_memory: bounds.Memory | None = None
    """Bytes that training takes of the device's memory at least, foreseen from shapes; the dataset not counted."""
    peak_memory: bounds.Memory | None = None
    """Bytes that it took, where the system can tell; on a CPU with all that libraries need."""
    micro_batch: bounds.MicroBatch | None = None
    """Images that went through the net at once, where a whole batch did not fit. Steps are those of whole batches."""
    device: str = Field(max_length=200)
    versions: dict[Annotated[str, Field(max_length=100)], Annotated[str, Field(max_length=200)]] = Field(max_length=20)
    weights: Artifact | None = None
    """Of the best epoch; absent where there are none worth keeping."""
    history: Artifact | None = None
    pictures: dict[Annotated[str, Field(pattern=NAME_PATTERN)], Artifact] = Field({}, max_length=bounds.MAX_PICTURES)
    """PNG files that show what the best epoch's weights do, by name."""

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_release(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "reward" in values or "val_accuracy" not in values:
            return values
        accuracy: Any = values["val_accuracy"]
        foretold: Any = values.get("prediction")
        reward, measured = accuracy, None
        with suppress(LookupError, TypeError):  # whatever it is otherwise, the fields say so
            reward, measured = min(max(accuracy, foretold["accuracy"]), foretold["best"]), accuracy
        return values | {"reward": reward, "measured": measured, "measures": {"accuracy": accuracy}}

    @property
    def best_reward(self) -> float:
        """Of the best epoch, as it was measured; chance where none counts."""
        return self.reward if self.measured is None else self.measured

    @model_validator(mode="after")
    def _is_consistent(self) -> TrainingResult:
        """What holds of every result, whatever was asked. checks.py holds a result against its request."""
        status, counts, foretold = self.status, self.best_epoch > 0, self.prediction
        best, last = self.val_accuracy, self.last_val_accuracy
        sizes = [picture.size for picture in self.pictures.values()]
        rules = {
            "stopped_early and a prediction come together": (status == "stopped_early") == (foretold is not None),
            f"{status}, but no epoch counts": counts or status not in ("completed", "stopped_early"),
            f"{status}, but an epoch counts": not counts or status not in ("untrainable", "too_large"),
            "the best epoch is not among those that were finished": self.best_epoch <= self.epochs,
            "of two accuracies one is missing": (best is None) == (last is None),
            "the last epoch is better than the best": best is None or last is None or last <= best,
            "no epoch counts, but the accuracies differ": counts or last == best,
            "no epoch counts, but there are weights": counts or self.weights is None,
            "an epoch counts, but no learning rate was tried": not counts or len(self.learning_rates) > 0,
            "a net that was stopped early keeps no weights": foretold is None or self.weights is None,
            "stopped_early and a measured reward come together": (self.measured is None) == (foretold is None),
            "stopped_early, but better than the best": foretold is None or (self.measured or 0.0) < foretold.best,
            "its reward is not what was foretold": foretold is None
            or self.reward == foretold.reward(self.measured or 0.0),
            "no epoch counts, but there are pictures": counts or not self.pictures,
            "a picture is larger than any can be": max(sizes, default=0) <= bounds.MAX_PICTURE,
            "test images were seen before training was over": status == "completed"
            or not (self.test_measures or self.test_accuracy is not None),
            "its history is longer than any can be": self.history is None or self.history.size <= bounds.MAX_HISTORY,
        }
        for complaint, holds in rules.items():
            if not holds:
                raise ValueError(complaint)
        return self
