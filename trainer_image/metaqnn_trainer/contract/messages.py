"""What is asked of the trainer. What it answers is in result.py."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from metaqnn_trainer.contract import bounds
from metaqnn_trainer.contract.codec import SCHEMA, Message, canonical_json
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.keys import DIGEST_PATTERN, NAME_PATTERN, TRIAL_PATTERN

GapHead = Literal["paper", "code"]
Precision = Literal["fp32", "tf32", "bf16"]


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


class PluginRef(Message):
    """A plug-in by its name, and what it is told."""

    name: str = Field(pattern=NAME_PATTERN)
    options: dict[Annotated[str, Field(max_length=200)], JsonValue] = Field({}, max_length=1000)

    @field_validator("options")
    @classmethod
    def _is_json(cls, options: dict[str, Any]) -> dict[str, Any]:
        canonical_json(options)  # NaN and infinity have no text
        return options


CNN: Final = PluginRef(name="cnn")
CLASSIFICATION: Final = PluginRef(name="classification")


class WeightsRef(Message):
    """The weights of a trial, of any run of the same store."""

    run: str = Field(pattern=NAME_PATTERN)
    trial: str = Field(pattern=TRIAL_PATTERN)
    sha256: bounds.Sha256


# Not in the digest while they have their defaults: a trial keeps the id that it had before there were any.
_LATER_RECIPE_FIELDS: Final = ("normalisation", "phases", "precision")
_LATER_FIELDS: Final = ("initial", "space", "task", "plugins")


class TrialSpec(Message):
    """What makes a trial this trial: the design and everything that its reward depends on."""

    space: PluginRef = CNN
    """The family of designs that `net` is one of."""
    net: str
    """The design's canonical text: whoever asks has written it so, for another text is another trial."""
    dataset: DatasetRef
    image_size: int | None = Field(None, ge=1, le=4096)
    """Images are resized to this once, when it differs from the dataset's. Of datasets of images alone."""
    model: ModelOptions = ModelOptions()
    recipe: Recipe = Recipe()
    task: PluginRef = CLASSIFICATION
    """What is learned, and what is measured."""
    plugins: dict[Annotated[str, Field(max_length=200)], Annotated[str, Field(max_length=200)]] = Field(
        {}, max_length=100
    )
    """Installed plug-ins that decide what is trained, by group, colon and name, with their distributions and versions;
    what is built in is not among them."""
    initial: WeightsRef | None = None
    """Weights to begin with, those whose places and shapes agree; the others are drawn afresh, as all are without."""

    @field_validator("net")
    @classmethod
    def _is_printable(cls, text: str) -> str:
        if not 1 <= len(text) <= bounds.MAX_DESIGN or not text.isprintable():
            raise ValueError(f"a design is 1 to {bounds.MAX_DESIGN} printable characters")
        return text

    def images_of(self) -> int:
        """The size of images, of a task that has any.

        Raises:
            MessageError: nobody said it.
        """
        if self.image_size is None:
            raise MessageError("image_size is missing, and there are images")
        return self.image_size

    def digest(self) -> str:
        """sha256 of the canonical JSON, in hex."""
        content = self.model_dump(mode="json")
        for name in _LATER_FIELDS:
            if getattr(self, name) == type(self).model_fields[name].default:
                del content[name]
        for name in _LATER_RECIPE_FIELDS:
            if getattr(self.recipe, name) == Recipe.model_fields[name].default:
                del content["recipe"][name]
        return hashlib.sha256(canonical_json(content)).hexdigest()

    def trial_id(self) -> str:
        """The trial's name: the first 12 of the digest. The same net asked for twice is the same trial."""
        return self.digest()[:12]


class LearningCurve(Message):
    """A net and the rewards of its epochs, from the first on, at the learning rate that counted."""

    params: int = Field(ge=0, le=10**30)
    macs: int = Field(ge=0, le=10**30)
    layers: int = Field(ge=1, le=1000)
    accuracies: tuple[bounds.Reward, ...] = Field(min_length=1, max_length=bounds.MAX_EPOCHS)
    """Of each epoch the reward, which is the validation accuracy where images are classified."""


class EarlyEnd(Message):
    """Stop a net as soon as it will probably not beat the best so far, as nets that were trained to their end say."""

    best: bounds.Reward
    """That is to be beaten."""
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
    spec_digest: bounds.Sha256 = Field("")
    """sha256 of the spec's canonical JSON, for the result to say again. Requests of earlier releases leave it out."""
    options: TrainerOptions = TrainerOptions()

    @model_validator(mode="after")
    def _names_its_spec(self) -> TrainingRequest:
        found = self.spec.digest()
        if self.spec_digest not in ("", found):
            raise ValueError(f"spec_digest is {self.spec_digest}, its spec's is {found}")
        object.__setattr__(self, "spec_digest", found)  # as a frozen dataclass does while it is made
        return self
