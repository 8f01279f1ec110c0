"""The messages: what is asked of the trainer, what it answers, and how its process ends."""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from metaqnn_trainer.contract import bounds
from metaqnn_trainer.contract.codec import Message, canonical_json
from metaqnn_trainer.contract.keys import DIGEST_PATTERN, NAME_PATTERN, TRIAL_PATTERN

SCHEMA: Final = 1


Status = Literal["completed", "untrainable", "too_large", "timed_out", "stopped_early"]
"""What became of a trial, each of them an answer that the agent learns from.

untrainable: every learning rate stayed at chance; too_large: the device's memory did not suffice. Both count as chance,
1 / classes. timed_out: the time limit came before the last epoch. The best epoch until then counts, as it would had the
recipe had no more epochs: what a net reaches in the time that it is given is what is asked. Chance, if none was whole.
stopped_early: it would probably not have beaten the best net, and what it would have reached was foretold (EarlyEnd).
"""


GapHead = Literal["paper", "code"]
Precision = Literal["fp32", "tf32", "bf16"]


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


class DatasetRef(Message):
    """Which dataset: a name for people, a digest for certainty."""

    name: str = Field(pattern=NAME_PATTERN)
    digest: str = Field(pattern=DIGEST_PATTERN)


class ModelOptions(Message):
    """How a net's layers are realised, where the notation is silent."""

    activation: Literal["relu", "elu"] = "relu"
    batch_norm: bool = False
    """After every convolution. The paper uses none; 46 % of the authors' random nets never learn without it."""
    gap_head: GapHead = "paper"
    """paper: 1x1 convolution to the classes, average pooling, softmax.
    code: the same with a ReLU before the pooling and a dense layer after it."""


class Phase(Message):
    """Some epochs at one learning rate."""

    epochs: int = Field(ge=1, le=bounds.MAX_EPOCHS)
    learning_rate: float = Field(gt=0, le=10)


class Recipe(Message):
    """How one net is trained. Defaults are the paper's for searching or, where it is silent, the authors' code's."""

    epochs: int = Field(20, ge=1, le=bounds.MAX_EPOCHS)
    """With `phases`, as many as those have together."""
    batch_size: int = Field(128, ge=1, le=65_536)
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(1e-3, gt=0, le=10)
    learning_rate_decay: float = Field(0.2, gt=0, le=1)
    """Factor on the rate after every `decay_epochs` epochs."""
    decay_epochs: int = Field(5, ge=1)
    phases: tuple[Phase, ...] = Field((), max_length=100)
    """Epochs and learning rates one by one, as the paper trains the best nets after the search. They stand in place of
    `learning_rate`, its decay and `decay_epochs`, which keep their defaults then."""
    adam_betas: tuple[bounds.Probability, bounds.Probability] = (0.9, 0.999)
    adam_epsilon: float = Field(1e-8, gt=0, le=1)
    momentum: bounds.Probability = 0.9
    """Of SGD alone."""
    weight_decay: float = Field(5e-4, ge=0, le=1)
    chance_factor: float = Field(1.5, ge=1, le=100)
    """A first epoch whose validation accuracy is at most this multiple of 1/classes did not learn.
    The code's 0.15 on ten classes."""
    restart_factor: float = Field(0.4, gt=0, le=1)
    """Factor on the first learning rate when training starts again."""
    max_rates: int = Field(5, ge=1, le=bounds.MAX_RATES)
    """Learning rates tried in all before the net counts as untrainable."""
    dropout: Literal["every_second", "after_fc", "none"] = "every_second"
    """every_second: the paper's, probability i/(2n) for the i-th of n.
    after_fc: `fc_dropout` after each fully connected layer (Table A1, MNIST)."""
    fc_dropout: bounds.Probability = 0.5
    normalisation: Literal["channel", "pixel"] = "channel"
    """What an image loses before training: mean and deviation over the training images, of each channel, or of each
    pixel of each channel (the authors' code on CIFAR-10)."""
    precision: Precision = "tf32"
    """The least that products may be computed in where a GPU is faster at it: fp32, TF32 (ten bits of mantissa, torch's
    own default for convolutions) or bf16 (seven). Weights, sums and the optimiser are single precision in any case;
    other devices compute all of it so. Part of a trial's identity, because weights depend on it."""
    mirror: bool = False
    """Flip images left to right, one time in two."""
    translate: int = Field(0, ge=0, le=64)
    """Move images by up to this many pixels in each direction."""
    evaluate_test: bool = False
    """Also measure test accuracy, once, with the best weights. Never a reward, never shown to the agent."""
    seed: int = Field(0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _phases_say_all(self) -> Recipe:
        if self.phases:
            total = sum(phase.epochs for phase in self.phases)
            if "epochs" not in self.model_fields_set:
                object.__setattr__(self, "epochs", total)  # as a frozen dataclass does while it is made
            if self.epochs != total or total > bounds.MAX_EPOCHS:
                raise ValueError(
                    f"epochs is {self.epochs}, but the phases have {total} together, of at most {bounds.MAX_EPOCHS}"
                )
            for name in ("learning_rate", "learning_rate_decay", "decay_epochs"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} has no meaning beside phases, which say every rate")
        return self


# Not in the digest while they have their defaults: a trial keeps the id that it had before there were any.
_LATER_RECIPE_FIELDS: Final = ("normalisation", "phases", "precision")


class WeightsRef(Message):
    """The weights of a trial, of any run of the same store."""

    run: str = Field(pattern=NAME_PATTERN)
    trial: str = Field(pattern=TRIAL_PATTERN)
    sha256: bounds.Sha256


class TrialSpec(Message):
    """What makes a trial this trial: the net and everything that its accuracy depends on."""

    net: str = Field(min_length=1, max_length=4096)
    """The design's canonical text: whoever asks has written it so, for another text is another trial."""
    dataset: DatasetRef
    image_size: int = Field(ge=1, le=4096)
    """Images are resized to this once, when it differs from the dataset's."""
    model: ModelOptions = ModelOptions()
    recipe: Recipe = Recipe()
    initial: WeightsRef | None = None
    """Weights to begin with, those whose places and shapes agree; the others are drawn afresh, as all are without."""

    @field_validator("net")
    @classmethod
    def _is_one_line(cls, text: str) -> str:
        if not text.isprintable():
            raise ValueError("the text of a design is one line")
        return text

    def digest(self) -> str:
        """sha256 of the canonical JSON, in hex."""
        content = self.model_dump(mode="json")
        if self.initial is None:
            del content["initial"]
        for name in _LATER_RECIPE_FIELDS:
            if getattr(self.recipe, name) == Recipe.model_fields[name].default:
                del content["recipe"][name]
        return hashlib.sha256(canonical_json(content)).hexdigest()

    def trial_id(self) -> str:
        """The trial's name: the first 12 of the digest. The same net asked for twice is the same trial."""
        return self.digest()[:12]


class LearningCurve(Message):
    """A net and the validation accuracies of its epochs, from the first on, at the learning rate that counted."""

    params: int = Field(ge=0, le=10**30)
    macs: int = Field(ge=0, le=10**30)
    layers: int = Field(ge=1, le=1000)
    accuracies: tuple[bounds.Probability, ...] = Field(min_length=1, max_length=bounds.MAX_EPOCHS)


class EarlyEnd(Message):
    """Stop a net as soon as it will probably not beat the best so far, as nets that were trained to their end say."""

    best: bounds.Probability
    """Validation accuracy that is to be beaten."""
    confidence: float = Field(ge=0.5, lt=1)
    """Probability of falling short at which training ends."""
    examples: tuple[LearningCurve, ...] = Field(min_length=2, max_length=1000)


class TrainerOptions(Message):
    """How the trainer goes about a trial. No part of what the trial is: other options, the same trial."""

    checkpoint_seconds: bounds.Seconds = 10.0
    """At least so long between two checkpoints. They are written after an epoch, 0: after every one, unless the last is
    still on its way to the store; in an epoch that is longer than a minute also between its steps; and at any step when
    the trainer is asked to stop. A trial that is shorter writes none, unless it is asked to stop."""
    time_limit_seconds: float | None = Field(None, gt=0, le=1e8)
    """Then the best epoch so far is the result. It bounds each attempt, and all of them together as far as checkpoints
    tell of them. An attempt begins with its process or, in one that has trained another net before, with its order.
    Loading, training and evaluating count; waiting for memory beside other nets does not; their turns do."""
    devices: int = Field(0, ge=0, le=64)
    """GPUs that the trial was given: with any, it is never trained on a processor. 0: on whatever there is."""
    early_end: EarlyEnd | None = None
    """The same for all attempts, so that each comes to the same decision."""


class TrainingRequest(Message):
    """request.json"""

    schema_version: Literal[1] = SCHEMA
    run: str = Field(pattern=NAME_PATTERN)
    trial: str = Field(pattern=TRIAL_PATTERN)
    spec: TrialSpec
    options: TrainerOptions = TrainerOptions()


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

    accuracy: bounds.Probability
    """Expected, of the best epoch."""
    spread: float = Field(ge=0, le=bounds.MAX_SPREAD)
    """Standard deviation of what it would have been."""
    best: bounds.Probability
    """That it would not have beaten."""


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
    val_accuracy: bounds.Probability
    """Best over the epochs, measured on the validation split."""
    best_epoch: int = Field(ge=0, le=bounds.MAX_EPOCHS)
    """From 1; 0 where no epoch counts."""
    last_val_accuracy: bounds.Probability
    prediction: Prediction | None = None
    """Of a net that was stopped early, and of no other."""
    test_accuracy: bounds.Probability | None = None
    epochs: int = Field(ge=0, le=bounds.MAX_EPOCHS)
    """Finished, at the last learning rate tried."""
    learning_rates: list[bounds.LearningRate] = Field(max_length=bounds.MAX_RATES)
    """First rates tried, in order."""
    params: bounds.Cost
    macs: bounds.Cost
    """Multiply-accumulates, one image forward."""
    images_per_second: float = Field(ge=0, le=bounds.MAX_SPEED)
    """Training images, over all rates tried; evaluation not counted."""
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

    @property
    def reward(self) -> float:
        """What the agent is told: the best epoch, or what was foretold, which is no less and not above the best net."""
        if self.prediction is None:
            return self.val_accuracy
        return min(max(self.val_accuracy, self.prediction.accuracy), self.prediction.best)

    @model_validator(mode="after")
    def _is_consistent(self) -> TrainingResult:
        """What holds of every result, whatever was asked. checks.py holds a result against its request."""
        status, counts, foretold = self.status, self.best_epoch > 0, self.prediction
        rules = {
            "stopped_early and a prediction come together": (status == "stopped_early") == (foretold is not None),
            f"{status}, but no epoch counts": counts or status not in ("completed", "stopped_early"),
            f"{status}, but an epoch counts": not counts or status not in ("untrainable", "too_large"),
            "the best epoch is not among those that were finished": self.best_epoch <= self.epochs,
            "the last epoch is better than the best": self.last_val_accuracy <= self.val_accuracy,
            "no epoch counts, but the accuracies differ": counts or self.last_val_accuracy == self.val_accuracy,
            "no epoch counts, but there are weights": counts or self.weights is None,
            "an epoch counts, but no learning rate was tried": not counts or len(self.learning_rates) > 0,
            "a net that was stopped early keeps no weights": foretold is None or self.weights is None,
            "stopped_early, but better than the best": foretold is None or self.val_accuracy < foretold.best,
            "test images were seen before training was over": self.test_accuracy is None or status == "completed",
            "its history is longer than any can be": self.history is None or self.history.size <= bounds.MAX_HISTORY,
        }
        for complaint, holds in rules.items():
            if not holds:
                raise ValueError(complaint)
        return self


class EpochRecord(Message):
    """One line of history.jsonl."""

    rate: int = Field(ge=1, le=bounds.MAX_RATES)
    """Which of the learning rates tried, from 1."""
    epoch: int = Field(ge=1, le=bounds.MAX_EPOCHS)
    learning_rate: bounds.LearningRate
    train_loss: float | None = Field(ge=0, le=1e39)
    """Mean over the epoch, of numbers in single precision; null when it was not finite."""
    val_accuracy: bounds.Probability
    seconds: bounds.Seconds
