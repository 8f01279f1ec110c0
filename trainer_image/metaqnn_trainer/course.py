"""The course of one training: rates, epochs and steps, from any of them to the end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metaqnn_trainer import recipe as rules
from metaqnn_trainer.augment import augmented
from metaqnn_trainer.checkpoint import Checkpoint, CheckpointState, release
from metaqnn_trainer.contract.messages import TrialSpec
from metaqnn_trainer.contract.result import EpochRecord, Position, Prediction, Status
from metaqnn_trainer.contract.text import one_line
from metaqnn_trainer.data import Dataset, Labelled, normalised
from metaqnn_trainer.device import autocast, dropout_source, seed_dropout
from metaqnn_trainer.errors import CheckpointError
from metaqnn_trainer.estimate import evaluation_batch
from metaqnn_trainer.evaluate import EVALUATION_BATCH, evaluate
from metaqnn_trainer.graph import RecordedStep, Recorder, Step
from metaqnn_trainer.model import build_model
from metaqnn_trainer.optimizer import Optimizer
from metaqnn_trainer.spaces.cnn.notation import parse_net

Weights = dict[str, Tensor]


@dataclass(slots=True)
class Training:
    """How training went, filled in as it goes: where memory runs out, it says how far it came."""

    chance: float
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
    """Seen while training, over all rates."""
    seconds: float = 0.0
    """Spent on them; evaluation not counted."""
    prediction: Prediction | None = None
    """Why it was stopped early."""
    resumed_from: Position | None = None
    micro_batch: int | None = None
    """Images at once, where a whole batch does not fit the device."""
    first_step: float | None = None
    """When it began, by time.monotonic; None where no step was taken."""
    last_step: float | None = None
    """When it ended."""
    estimated_memory: int = 0
    """Bytes that training takes of the device at least, foreseen."""
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


@dataclass(frozen=True, slots=True)
class Hooks:
    """Who listens. `pause` comes after every step and every batch of an evaluation, and may end all by raising."""

    pause: Callable[[], None]
    on_epoch: Callable[[EpochRecord], None]
    at_rest: Callable[[], None]
    """After every epoch, when the next step is the next one's first."""


class Course:
    """A net in training: a model, its optimiser, and where they stand.

    With a `micro_batch` the recipe's batch goes through the net in parts of so many images, and a step adds up their
    gradients. Batches, images and the optimiser's steps are those of undivided training. The weights are not, to the
    last bit: sums are rounded in another order, dropout draws other numbers of the same kind, and batch normalisation
    sees the statistics of a part, which are noisier.
    """

    def __init__(
        self,
        spec: TrialSpec,
        dataset: Dataset,
        hooks: Hooks,
        micro_batch: int | None = None,
        recorder: Recorder | None = None,
        initial: Weights | None = None,
    ) -> None:
        """With a `recorder` whole batches are stepped by what it records. Each rate begins with the `initial` weights,
        where they fit."""
        self._spec = spec
        self._recipe = spec.recipe
        self._digest = spec.digest()
        self._dataset = dataset
        self._hooks = hooks
        self._device = dataset.mean.device
        self._dropout = dropout_source(self._device)
        chance = 1 / dataset.info.images().classes
        self.training = Training(chance, micro_batch=micro_batch)
        self._rate, self._epoch, self._step = 1, 1, 0
        self._epoch_seconds = 0.0
        # Kept on the device: asking for a number after each step would make a GPU wait.
        self._loss = torch.zeros((), device=self._device)
        self._model: nn.Module | None = None
        self._optimizer: Optimizer | None = None
        self._recorder = recorder
        self._initial = initial or {}
        self._step_on: Step = self._plain_step

    @property
    def position(self) -> Position:
        """The next step."""
        return Position(rate=self._rate, epoch=self._epoch, step=self._step)

    @property
    def counted(self) -> list[EpochRecord]:
        """What counts is what the present rate did, once it had begun to learn."""
        records = self.training.records
        return [record for record in records if record.rate == self._rate and record.train_loss is not None]

    def run(self) -> None:
        """From here to the end, whichever it is."""
        while self._rate <= self._recipe.max_rates:
            self._hooks.pause()
            if self._model is None:
                self._begin()
            if self._learns():
                self._test()
                self.training.status = "completed"
                return
            self._rate, self._epoch, self._model = self._rate + 1, 1, None
            if self._rate <= self._recipe.max_rates:  # there is nothing to go on with else
                self._hooks.at_rest()
        rates = ", ".join(f"{rate:.3g}" for rate in self.training.learning_rates)
        self.training.reason = f"no better than chance after the first epoch at each of the learning rates {rates}"

    def forget(self) -> None:
        """Let go of the net. What refers to itself, as this does, would keep it until it is collected as garbage."""
        self._model = self._optimizer = None
        self._step_on = self._plain_step

    def _begin(self) -> None:
        """Fresh weights for the present rate."""
        self.training.learning_rates = [rules.learning_rate(self._recipe, rate, 1) for rate in range(1, self._rate + 1)]
        self.training.epochs = 0
        net = parse_net(self._spec.net)
        seed = rules.derive_seed(self._recipe, self._digest, self._rate, 0, "weights")
        dropout = rules.dropout_probabilities(net, self._recipe)
        model = build_model(net, self._dataset.shape, self._spec.model, dropout, torch.Generator().manual_seed(seed))
        fresh = model.state_dict()
        fitting = {
            name: tensor
            for name, tensor in self._initial.items()
            if name in fresh and tensor.shape == fresh[name].shape
        }
        model.load_state_dict({**fresh, **fitting})
        self._model = model.to(self._device)
        self._optimizer = Optimizer(self._model, self._recipe)
        if self._recorder is not None:
            self._step_on = RecordedStep(self._plain_step, self._recipe.batch_size, self._recorder)

    def _learns(self) -> bool:
        """All epochs that are left of the present rate; False if the first of them did not learn."""
        training, dataset = self.training, self._dataset
        while self._epoch <= self._recipe.epochs:
            self._train_epoch()
            started = time.perf_counter()
            accuracy = self._evaluate(dataset.validation)
            loss = self._loss.item() / len(dataset.train)
            finite = math.isfinite(loss)
            record = EpochRecord(
                rate=self._rate,
                epoch=self._epoch,
                learning_rate=rules.learning_rate(self._recipe, self._rate, self._epoch),
                train_loss=loss if finite else None,
                reward=accuracy,
                measures={"accuracy": accuracy},
                val_accuracy=accuracy,
                seconds=self._epoch_seconds + time.perf_counter() - started,
            )
            training.records.append(record)
            self._hooks.on_epoch(record)
            self._step, self._epoch_seconds = 0, 0.0
            self._loss.zero_()
            if self._epoch == 1 and not (
                finite and rules.learned(self._recipe, accuracy, dataset.info.images().classes, dataset.chance())
            ):
                training.epochs = 1
                return False
            if not finite:
                self._epoch = self._recipe.epochs + 1
                break
            if training.count(record):
                training.weights = _in_main_memory(self._net.state_dict())
            self._epoch += 1
            self._hooks.at_rest()
        return True

    def _train_epoch(self) -> None:
        """What is left of one pass over the training images, the last and smaller batch too."""
        recipe, dataset = self._recipe, self._dataset
        assert self._optimizer is not None
        self._optimizer.set_rate(rules.learning_rate(recipe, self._rate, self._epoch))
        self._net.train()
        started = time.perf_counter()
        try:
            shuffled = torch.randperm(len(dataset.train), generator=self._generator("order", 0)).to(self._device)
            for batch in shuffled.split(recipe.batch_size)[self._step :]:
                self.training.first_step = self.training.first_step or time.monotonic()
                self._train_step(batch)
                self._step += 1
                self.training.last_step = time.monotonic()
                self.training.images += len(batch)
                self._hooks.pause()
            self._loss.item()  # so that the time is that of the work
        finally:
            seconds = time.perf_counter() - started
            self._epoch_seconds += seconds
            self.training.seconds += seconds

    def _train_step(self, batch: Tensor) -> None:
        """One batch, given by the indices (n) of its images."""
        recipe, dataset = self._recipe, self._dataset
        seed_dropout(self._dropout, self._seed("dropout", self._step))
        images = normalised(dataset.train.images[batch], dataset.mean, dataset.std)
        images = augmented(images, recipe.mirror, recipe.translate, self._generator("augmentation", self._step))
        self._step_on(images, dataset.train.labels[batch])

    def _plain_step(self, images: Tensor, labels: Tensor) -> None:
        assert self._optimizer is not None
        self._optimizer.forget_gradients()
        for part, answers in zip(images.split(self._at_once), labels.split(self._at_once), strict=True):
            with autocast(self._device, self._recipe.precision):
                loss = F.cross_entropy(self._net(part), answers, reduction="sum")
            (loss / len(images)).backward()
            self._loss += loss.detach()
        self._optimizer.step()

    def _test(self) -> None:
        if self._recipe.evaluate_test and len(self._dataset.test):
            assert self.training.weights is not None
            self._net.load_state_dict(self.training.weights)
            self.training.test_measures = {"accuracy": self._evaluate(self._dataset.test)}

    def _evaluate(self, part: Labelled) -> float:
        largest = EVALUATION_BATCH if self._device.type == "cuda" else self._at_once
        batch = evaluation_batch(self._spec, self._dataset.shape, self._at_once, largest)
        with autocast(self._device, self._recipe.precision):
            return evaluate(self._net, part, self._dataset, self._hooks.pause, batch)

    @property
    def _at_once(self) -> int:
        """Images of a batch that go through the net together."""
        return self.training.micro_batch or self._recipe.batch_size

    def _generator(self, purpose: rules.Purpose, step: int) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed(purpose, step))

    def _seed(self, purpose: rules.Purpose, step: int) -> int:
        return rules.derive_seed(self._recipe, self._digest, self._rate, self._epoch, purpose, step)

    @property
    def _net(self) -> nn.Module:
        assert self._model is not None
        return self._model

    def checkpoint(self, seconds: float) -> Checkpoint:
        """Everything that the rest of the course depends on, in main memory. `seconds` is what training took so far."""
        training = self.training
        state = CheckpointState(
            release=release(),
            spec_digest=self._digest,
            position=self.position,
            images=training.images,
            train_seconds=training.seconds,
            epoch_seconds=self._epoch_seconds,
            micro_batch=training.micro_batch,
            seconds=seconds,
        )
        tensors = {"loss": self._loss}
        if self._model is not None and self._optimizer is not None:
            tensors |= {f"model/{name}": tensor for name, tensor in self._model.state_dict().items()}
            tensors |= {f"optimizer/{name}": tensor for name, tensor in self._optimizer.state().items()}
        tensors = _in_main_memory(tensors)
        tensors |= {f"best/{name}": tensor for name, tensor in (training.weights or {}).items()}
        return Checkpoint(state, list(training.records), tensors)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Be what `checkpoint` was taken of.

        Raises:
            CheckpointError: it does not fit; this course must not be used any more.
        """
        state, training = checkpoint.state, self.training
        self._rate, self._epoch, self._step = state.position.rate, state.position.epoch, state.position.step
        if self._rate > self._recipe.max_rates or self._epoch > self._recipe.epochs + 1:
            raise CheckpointError(f"the recipe has no {state.position}")
        training.resumed_from, training.micro_batch = state.position, state.micro_batch
        training.images, training.seconds = state.images, state.train_seconds
        self._epoch_seconds = state.epoch_seconds
        training.records = list(checkpoint.records)
        try:
            self._loss.copy_(checkpoint.tensors["loss"])
            weights = checkpoint.part("model")
            if not weights:
                return
            self._begin()
            self._net.load_state_dict(weights)
            assert self._optimizer is not None
            self._optimizer.load(checkpoint.part("optimizer"))
            for record in self.counted:
                training.count(record)
            if training.best_epoch:
                training.weights = checkpoint.part("best")
                build = {name: tensor.shape for name, tensor in self._net.state_dict().items()}
                if build != {name: tensor.shape for name, tensor in training.weights.items()}:
                    raise CheckpointError("its best weights are those of another net")
        except (RuntimeError, LookupError) as error:
            raise CheckpointError(one_line(str(error))) from error


def _in_main_memory(tensors: Weights) -> Weights:
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
