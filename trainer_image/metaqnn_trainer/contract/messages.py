"""What is asked of the trainer. What it answers is in result.py."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from metaqnn_trainer.contract import bounds
from metaqnn_trainer.contract.codec import SCHEMA, Message, canonical_json
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.keys import DIGEST_PATTERN, NAME_PATTERN, TRIAL_PATTERN

GapHead = Literal["paper", "code"]
Precision = Literal["fp32", "tf32", "bf16"]


ClassWeight = Annotated[float, Field(gt=0, le=1e6)]


class DatasetRef(Message):
    """A dataset: its name and its digest. The digest identifies it."""

    name: str = Field(pattern=NAME_PATTERN)
    """Name of the dataset."""
    digest: str = Field(pattern=DIGEST_PATTERN)
    """The first 16 hexadecimal digits of the sha256 of the whole object."""


class ModelOptions(Message):
    """How the layers of a net are built, as far as its text does not say it."""

    activation: Literal["relu", "elu"] = "relu"
    """Activation function after convolutions and fully connected layers."""
    batch_norm: bool = False
    """Whether there is batch normalisation after every convolution. The paper uses none. Without it, 46 % of the
    authors' random nets never learn."""
    gap_head: GapHead = "paper"
    """What GAP means. paper: a 1x1 convolution to the classes, average pooling, softmax. code: the same, with a ReLU
    before the pooling and a dense layer after it."""


class RatePhase(Message):
    """A number of epochs at one learning rate."""

    epochs: int = Field(ge=1, le=bounds.MAX_EPOCHS)
    """Number of epochs."""
    learning_rate: float = Field(gt=0, le=10)
    """Their learning rate."""


class Recipe(Message):
    """How one net is trained. The defaults are those of the paper for searching, or of the authors' code where the
    paper does not say."""

    epochs: int = Field(20, ge=1, le=bounds.MAX_EPOCHS)
    """Number of epochs. If there are `phases`, it must be the sum of their epochs."""
    batch_size: int = Field(128, ge=1, le=65_536)
    """Images in a batch."""
    optimizer: Literal["adam", "sgd"] = "adam"
    """The optimiser."""
    learning_rate: float = Field(1e-3, gt=0, le=10)
    """Learning rate at the start."""
    learning_rate_decay: float = Field(0.2, gt=0, le=1)
    """Factor by which the learning rate is multiplied after every `decay_epochs` epochs."""
    decay_epochs: int = Field(5, ge=1)
    """Number of epochs after which the learning rate is lowered."""
    phases: tuple[RatePhase, ...] = Field((), max_length=100)
    """A list of epochs and learning rates, as in the paper's training of the best nets. It replaces `learning_rate`,
    `learning_rate_decay` and `decay_epochs`, which must then keep their defaults."""
    adam_betas: tuple[bounds.Probability, bounds.Probability] = (0.9, 0.999)
    """Coefficients of Adam's running means."""
    adam_epsilon: float = Field(1e-8, gt=0, le=1)
    """Term that Adam adds to the denominator."""
    momentum: bounds.Probability = 0.9
    """Momentum of SGD."""
    weight_decay: float = Field(5e-4, ge=0, le=1)
    """Weight decay, as L2 in the gradient."""
    chance_factor: float = Field(1.5, ge=1, le=100)
    """A net has not learned anything if its validation accuracy after the first epoch is at most this factor times
    1/classes. 1.5 gives 0.15 for ten classes, as in the authors' code."""
    restart_factor: float = Field(0.4, gt=0, le=1)
    """Factor by which the learning rate is multiplied when training starts again because nothing was learned."""
    max_rates: int = Field(5, ge=1, le=bounds.MAX_RATES)
    """How many learning rates are tried before a net counts as untrainable."""
    dropout: Literal["every_second", "after_fc", "none"] = "every_second"
    """Where dropout is applied. every_second: after every second layer, with probability i/(2n) for the i-th of n (the
    paper). after_fc: `fc_dropout` after each fully connected layer (Table A1, MNIST)."""
    fc_dropout: bounds.Probability = 0.5
    """Dropout probability for `dropout: after_fc`."""
    normalisation: Literal["channel", "pixel"] = "channel"
    """How images are normalised: by mean and standard deviation over the training images, of each channel, or of each
    pixel of each channel (as in the authors' code for CIFAR-10)."""
    precision: Precision = "tf32"
    """Lowest precision in which a GPU may compute products: fp32, tf32 (mantissa of ten bits, torch's default for
    convolutions) or bf16 (seven bits). Weights, sums and the optimiser are always in single precision. Devices that are
    not faster with less compute everything in single precision. It is a part of a trial's id, because the weights
    depend on it."""
    deterministic: bool = True
    """Whether a GPU gives equal requests equal weights, bit for bit. false allows convolutions that sum up in another
    order each time: on an H200 some nets trained up to a fifth faster with tf32, most as fast as before
    (docs/benchmarks/gpu.md)."""
    mirror: bool = False
    """Flip training images left to right, with probability 1/2."""
    translate: int = Field(0, ge=0, le=64)
    """Shift training images by up to this many pixels in each direction."""
    crop: float = Field(1.0, gt=0, le=1)
    """Cut a random square out of each training image, and enlarge it to the whole: its area is between this share of
    the image and all of it. 1: no crop."""
    rotation: float = Field(0.0, ge=0, le=180)
    """Rotate training images by up to this many degrees, in either direction."""
    cutout: int = Field(0, ge=0, le=4096)
    """Blank out a square of this many pixels at a random place of each training image (DeVries and Taylor 2017)."""
    brightness: bounds.Probability = 0.0
    """Colour jitter: multiply the values of a training image by a factor between 1 minus this and 1 plus this."""
    contrast: bounds.Probability = 0.0
    """Colour jitter: the same factor for the distance of all values from the image's mean grey."""
    saturation: bounds.Probability = 0.0
    """Colour jitter: the same factor for the distance of each pixel from its own grey. Only for images with three
    channels."""
    class_weights: Literal["none", "balanced"] | tuple[ClassWeight, ...] = "none"
    """Weights of the classes in the training loss. balanced: images / (classes x images of the class), so that each
    class counts as much as any other. Or a list with one weight for each class. The reward stays the accuracy."""
    evaluate_test: bool = False
    """Also measure test accuracy, once, with the best weights. It is never a reward, and the searcher never sees it."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of the training: initial weights, order of images, dropout."""

    @model_validator(mode="after")
    def _phases_say_all(self) -> Recipe:
        if self.phases:
            total = sum(phase.epochs for phase in self.phases)
            if "epochs" not in self.model_fields_set:
                object.__setattr__(self, "epochs", total)  # as a frozen dataclass does in __init__
            if self.epochs != total or total > bounds.MAX_EPOCHS:
                raise ValueError(
                    f"epochs is {self.epochs}, but the phases have {total} together, of at most {bounds.MAX_EPOCHS}"
                )
            for name in ("learning_rate", "learning_rate_decay", "decay_epochs"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} may not be set together with phases, which give all learning rates")
        return self

    def changed(self, changes: Mapping[str, Any]) -> Recipe:
        """The recipe with other values for some of its fields.

        Raises:
            ValueError: there is no such recipe.
        """
        values = self.model_dump(mode="json", exclude_unset=True)
        return Recipe.model_validate_json(json.dumps({**values, **changes}))


class PluginRef(Message):
    """The name of a plug-in, and its options."""

    name: str = Field(pattern=NAME_PATTERN)
    options: dict[Annotated[str, Field(max_length=200)], JsonValue] = Field({}, max_length=1000)

    @field_validator("options")
    @classmethod
    def _is_json(cls, options: dict[str, Any]) -> dict[str, Any]:
        canonical_json(options)  # NaN and infinity have no text
        return options


CNN: Final = PluginRef(name="cnn")
CLASSIFICATION: Final = PluginRef(name="classification")
CLASSIFIED: Final = ("accuracy", "balanced_accuracy", "loss")
"""The measures of the built-in task of classification."""


class WeightsRef(Message):
    """The weights of a trial, of any run of the same store."""

    run: str = Field(pattern=NAME_PATTERN)
    trial: str = Field(pattern=TRIAL_PATTERN)
    sha256: bounds.Sha256


# Fields with their defaults are not in the digest: so a trial keeps the id that it had before a field was introduced.
_LATER_RECIPE_FIELDS: Final = (
    *("normalisation", "phases", "precision", "deterministic"),
    *("crop", "rotation", "cutout", "brightness", "contrast", "saturation", "class_weights"),
)
_LATER_FIELDS: Final = ("initial", "space", "task", "plugins")


class TrialSpec(Message):
    """The content of a trial: the design and everything that its reward depends on."""

    space: PluginRef = CNN
    """The family of spaces to which the design `net` belongs."""
    net: str
    """The design's canonical text: whoever asks has written it so, for another text is another trial."""
    dataset: DatasetRef
    image_size: int | None = Field(None, ge=1, le=4096)
    """Size to which images are resized once, if the dataset's is another. Only for datasets of images."""
    model: ModelOptions = ModelOptions()
    recipe: Recipe = Recipe()
    task: PluginRef = CLASSIFICATION
    """The task: what is learned, and what is measured."""
    plugins: dict[Annotated[str, Field(max_length=200)], Annotated[str, Field(max_length=200)]] = Field(
        {}, max_length=100
    )
    """Installed plug-ins that decide what is trained: group, colon and name of each, with its distribution and version.
    Built-in ones are left out."""
    initial: WeightsRef | None = None
    """Weights to start from, where layer and shape agree. All others are initialised at random."""

    @field_validator("net")
    @classmethod
    def _is_printable(cls, text: str) -> str:
        if not 1 <= len(text) <= bounds.MAX_DESIGN or not text.isprintable():
            raise ValueError(f"a design must have 1 to {bounds.MAX_DESIGN} printable characters")
        return text

    def images_of(self) -> int:
        """The size of images, of a task that has any.

        Raises:
            MessageError: nobody said it.
        """
        if self.image_size is None:
            raise MessageError("image_size is missing, but the dataset has images")
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
        """The trial's id: the first 12 hexadecimal digits of the digest. A net that is requested twice is the same
        trial.
        """
        return self.digest()[:12]


class LearningCurve(Message):
    """A net and the rewards of all its epochs, at the learning rate that counted."""

    params: int = Field(ge=0, le=10**30)
    macs: int = Field(ge=0, le=10**30)
    layers: int = Field(ge=1, le=1000)
    accuracies: tuple[bounds.Reward, ...] = Field(min_length=1, max_length=bounds.MAX_EPOCHS)
    """The reward of each epoch; for classification, its validation accuracy."""


class PredictionRule(Message):
    """Stop a net as soon as it will probably not beat the best one. This is predicted from nets that were trained to
    their end."""

    best: bounds.Reward
    """Reward of the best net so far."""
    confidence: float = Field(ge=0.5, lt=1)
    """Training ends if the net will miss the best accuracy with at least this probability."""
    examples: tuple[LearningCurve, ...] = Field(min_length=2, max_length=1000)


def quarter(epochs: int) -> int:
    """Number of epochs that make a quarter of them, rounded up."""
    return -(-epochs // 4)


class QuarterExample(Message):
    """What a net had reached after a quarter of its epochs, and at its end."""

    quarter: bounds.Reward
    """The best reward of the epochs until then."""
    final: bounds.Reward
    """The best reward of all its epochs."""


class QuarterRule(Message):
    """Stop a net after a quarter of its epochs, rounded up, if none of them was as good as the best third of the latest
    nets were at that epoch."""

    epochs: int = Field(ge=2, le=bounds.MAX_EPOCHS)
    """Number of epochs of those nets. A net with another number is trained to its end."""
    threshold: bounds.Reward
    """Training ends if the best reward until then is below this."""
    best: bounds.Reward
    """Reward of the best net so far."""
    examples: tuple[QuarterExample, ...] = Field(min_length=2, max_length=1000)
    """What would have become of the net is predicted from these."""


EarlyEnd = PredictionRule | QuarterRule


class TrainerOptions(Message):
    """Options for running a trial. They are no part of the trial's content: with other options it is the same trial."""

    checkpoint_seconds: bounds.Seconds = 10.0
    """Seconds between two checkpoints, at least. A checkpoint is written after an epoch; with 0 after every epoch,
    unless the one before is still being stored. In an epoch of more than a minute it is also written between steps, and
    whenever the trainer is asked to stop. A trial that is shorter than this writes none, unless it is asked to stop."""
    time_limit_seconds: float | None = Field(None, gt=0, le=1e8)
    """Seconds after which the best epoch so far is the result. The limit holds for each attempt, and for all attempts
    together as far as their checkpoints say. An attempt begins with its process, or with its order if the process has
    trained another net before. Loading, training and evaluation count. With several nets side by side, waiting for
    memory does not count, but the turns of the other nets do."""
    devices: int = Field(0, ge=0, le=64)
    """GPUs that the trial was given. If there are any, the trial is never trained on a CPU. 0: the trainer uses
    whatever device there is."""
    early_end: EarlyEnd | None = None
    """It is the same for all attempts, so that every attempt decides in the same way."""


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
        object.__setattr__(self, "spec_digest", found)  # as a frozen dataclass does in __init__
        return self
