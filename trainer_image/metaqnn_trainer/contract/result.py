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
"""What became of a trial, each of them an answer that the searcher learns from.

untrainable: every learning rate stayed at chance; too_large: the device's memory did not suffice. Both count as chance,
which is the task's to say. timed_out: the time limit came before the last epoch. The best epoch until then counts, as
it would had the recipe had no more epochs: what a net reaches in the time that it is given is what is asked. Chance, if
none was whole.
stopped_early: a rule for an early end stopped it (EarlyEnd). What it would have reached was foretold.
"""


class ExitCode(IntEnum):
    """Exit codes of a trainer. They only say whether an answer was delivered; the answer itself is result.json."""

    DELIVERED = 0  # result.json exists, with any status
    BAD_REQUEST = 11  # the request cannot be read, or asks for a net that cannot be built
    DATASET = 12  # the dataset is missing, or is not the requested one
    INTERNAL = 13  # a fault of the trainer
    DEVICE = 14  # a GPU was requested and none is usable, or it failed: the node is the cause, and no net
    STORE = 15  # the object store did not answer, or is not ready now
    HOST_MEMORY = 16  # the machine's own memory did not suffice, and no net is the cause
    STORE_REFUSED = 17  # the object store refuses for good to write or to read an object, or stays full
    UNEQUIPPED = 18  # what the run asks for is wrong, or not known here: plug-in, option, field; no net is to blame
    PREEMPTED = 143  # asked to stop by SIGTERM; 128 + 15, as shells and Kubernetes write it


class Artifact(Message):
    """A file beside result.json, with size and digest, so that a reader can check it."""

    size: int = Field(ge=0, le=1 << 40)
    """Bytes."""
    sha256: bounds.Sha256


class Position(Message):
    """A position in the training: before this step (counted from 0) of this epoch (from 1) at this learning rate (from
    1)."""

    rate: int = Field(1, ge=1, le=bounds.MAX_RATES)
    epoch: int = Field(1, ge=1, le=bounds.MAX_EPOCHS + 1)
    step: int = Field(0, ge=0, le=10**9)

    def __str__(self) -> str:
        return f"rate {self.rate}, epoch {self.epoch}, step {self.step}"


class Prediction(Message):
    """The predicted accuracy of a net that was stopped early."""

    accuracy: bounds.Reward
    """Predicted reward of the best epoch; for classification, its validation accuracy."""
    spread: float = Field(ge=0, le=bounds.MAX_SPREAD)
    """Standard deviation of the prediction."""
    best: bounds.Reward
    """Reward of the best net, which it had not reached."""

    def reward(self, measured: float) -> float:
        """The reward of a net whose best epoch has `measured`: the prediction, but at least this, and at most that of
        the best net."""
        return min(max(measured, self.accuracy), self.best)


class EpochRecord(Message):
    """One line of history.jsonl."""

    rate: int = Field(ge=1, le=bounds.MAX_RATES)
    """Number of the learning rate tried, from 1."""
    epoch: int = Field(ge=1, le=bounds.MAX_EPOCHS)
    learning_rate: bounds.LearningRate
    train_loss: float | None = Field(ge=-1e39, le=1e39)
    """Mean loss over the epoch's examples, from numbers in single precision; null if it was not finite."""
    reward: bounds.Reward
    """Reward, measured on the validation split."""
    measures: bounds.Measures = Field({})
    val_accuracy: bounds.Probability | None = None
    """Only for classification."""
    seconds: bounds.Seconds

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_release(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "reward" in values or "val_accuracy" not in values:
            return values
        accuracy = values["val_accuracy"]
        return values | {"reward": accuracy, "measures": {"accuracy": accuracy}}


class TrainingResult(Message):
    """result.json: written last, and only if it does not exist. If it exists, the trial is done."""

    schema_version: Literal[1] = SCHEMA
    run: str = Field(pattern=NAME_PATTERN)
    trial: str = Field(pattern=TRIAL_PATTERN)
    spec_digest: bounds.Sha256
    attempt: bounds.Attempt
    status: Status
    reason: str = Field("", max_length=500)
    """Why the trial is not completed, in words."""
    reward: bounds.Reward
    """The reward that the searcher learns from: that of the best epoch, or the predicted one of a net that was stopped
    early."""
    measured: bounds.Reward | None = None
    """The measured reward of the best epoch, only for a net that was stopped early."""
    measures: bounds.Measures = Field({})
    """Measures of the best epoch on the validation split; empty if no epoch counts."""
    chance: bounds.Reward | None = None
    """Reward of a net that has learned nothing. Results of earlier releases do not have it."""
    val_accuracy: bounds.Probability | None = None
    """Only for classification: best validation accuracy over the epochs."""
    best_epoch: int = Field(ge=0, le=bounds.MAX_EPOCHS)
    """Number of the best epoch, from 1; 0 if no epoch counts."""
    last_val_accuracy: bounds.Probability | None = None
    prediction: Prediction | None = None
    """The prediction, only for a net that was stopped early."""
    test_measures: bounds.Measures = Field({})
    """Measures with the best epoch's weights on the test split; empty if this was not asked for."""
    test_accuracy: bounds.Probability | None = None
    """Only for classification."""
    epochs: int = Field(ge=0, le=bounds.MAX_EPOCHS)
    """Epochs that were finished at the last learning rate tried."""
    learning_rates: list[bounds.LearningRate] = Field(max_length=bounds.MAX_RATES)
    """The learning rates that were tried, each as at its start, in order."""
    params: bounds.Cost
    macs: bounds.Cost
    """Multiply-accumulates for one example forward."""
    images_per_second: float = Field(ge=0, le=bounds.MAX_SPEED)
    """Training examples over all learning rates tried, without evaluation."""
    seconds: bounds.Seconds
    """Seconds from reading the request to writing the result, of this attempt only."""
    startup_seconds: bounds.Seconds | None = None
    """Seconds from the start of the process to the first step; from the order, if the process had trained another net
    before."""
    closing_seconds: bounds.Seconds | None = None
    """Seconds from the last step to writing the result."""
    resumed_from: Position | None = None
    """Position in the training at which this attempt went on from an earlier attempt's checkpoint."""
    estimated_memory: bounds.Memory | None = None
    """Estimate of the bytes that training needs on the device, from the shapes, without the dataset."""
    peak_memory: bounds.Memory | None = None
    """Bytes that training used, if the system reports it; on a CPU including all libraries."""
    micro_batch: bounds.MicroBatch | None = None
    """Images in a micro-batch, if a whole batch did not fit. Steps are counted in whole batches."""
    device: str = Field(max_length=200)
    versions: dict[Annotated[str, Field(max_length=100)], Annotated[str, Field(max_length=200)]] = Field(max_length=20)
    weights: Artifact | None = None
    """Weights of the best epoch; absent if no epoch counts."""
    history: Artifact | None = None
    pictures: dict[Annotated[str, Field(pattern=NAME_PATTERN)], Artifact] = Field({}, max_length=bounds.MAX_PICTURES)
    """PNG files about the best epoch's weights, by name."""

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
        """Measured reward of the best epoch; chance if no epoch counts."""
        return self.reward if self.measured is None else self.measured

    @model_validator(mode="after")
    def _is_consistent(self) -> TrainingResult:
        """Check what holds for every result, whatever its request. checks.py checks a result against its request."""
        status, counts, foretold = self.status, self.best_epoch > 0, self.prediction
        best, last = self.val_accuracy, self.last_val_accuracy
        sizes = [picture.size for picture in self.pictures.values()]
        rules = {
            "stopped_early and a prediction come together": (status == "stopped_early") == (foretold is not None),
            f"{status}, but no epoch counts": counts or status not in ("completed", "stopped_early"),
            f"{status}, but an epoch counts": not counts or status not in ("untrainable", "too_large"),
            "the best epoch is not among those that were finished": self.best_epoch <= self.epochs,
            "val_accuracy and last_val_accuracy must be given together": (best is None) == (last is None),
            "the last epoch is better than the best": best is None or last is None or last <= best,
            "no epoch counts, but the accuracies differ": counts or last == best,
            "no epoch counts, but there are weights": counts or self.weights is None,
            "an epoch counts, but no learning rate was tried": not counts or len(self.learning_rates) > 0,
            "a net that was stopped early keeps no weights": foretold is None or self.weights is None,
            "stopped_early and a measured reward come together": (self.measured is None) == (foretold is None),
            "stopped_early, but better than the best": foretold is None or (self.measured or 0.0) < foretold.best,
            "its reward is not the predicted one": foretold is None
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
