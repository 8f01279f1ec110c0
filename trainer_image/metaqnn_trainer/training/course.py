"""The course of one training: learning rates, epochs and steps, from any of them to the end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Final

import torch
from torch import Tensor, nn

from metaqnn_trainer.artifacts import checked_picture
from metaqnn_trainer.contract.result import EpochRecord, Position
from metaqnn_trainer.contract.text import one_line
from metaqnn_trainer.errors import CheckpointError, MeasureError
from metaqnn_trainer.progress import say
from metaqnn_trainer.tasks.base import Part, Task
from metaqnn_trainer.training import recipe as rules
from metaqnn_trainer.training.checkpoint import Checkpoint, CheckpointState, release
from metaqnn_trainer.training.device import autocast, dropout_source, seed_dropout
from metaqnn_trainer.training.graph import RecordedStep, Recorder, Step
from metaqnn_trainer.training.measures import Measurement, check_loss, measured
from metaqnn_trainer.training.optimizer import Optimizers
from metaqnn_trainer.training.outcome import Subject, Training, Weights

_PREPARED: Final = 8 * 2**20  # bytes of examples that are prepared at once


@dataclass(frozen=True, slots=True)
class Hooks:
    """Functions that a training calls. `pause` is called after every step and every batch of an evaluation, and may end
    the training by raising.
    """

    pause: Callable[[], None]
    on_epoch: Callable[[EpochRecord], None]
    at_rest: Callable[[], None]
    """Called after every epoch, when the next step is the first of the next epoch."""


class Course:
    """A design in training: a model, its optimiser, and their position.

    With a `micro_batch` the recipe's batch goes through the net in parts of so many examples, and a step adds up their
    gradients. Batches, examples and the optimiser's steps are those of undivided training. The weights differ in the
    last bits: sums are rounded in another order, dropout draws other numbers of the same kind, and batch normalisation
    uses the statistics of a part, which are noisier.
    """

    def __init__(
        self,
        subject: Subject,
        hooks: Hooks,
        micro_batch: int | None = None,
        recorder: Recorder | None = None,
        initial: Weights | None = None,
        affordable: Callable[[], bool] = lambda: True,
    ) -> None:
        """With a `recorder`, steps of whole batches are recorded and repeated, if that is `affordable` once the first
        steps are done. Each learning rate begins with the `initial` weights, where they fit.
        """
        self._task, self._data, self._device = subject.task, subject.data, subject.device
        self._recipe = subject.spec.recipe
        self._digest = subject.spec.digest()
        self._examples = min(self._task.examples(self._data, "train"), subject.most)
        self._hooks = hooks
        self._dropout = dropout_source(self._device)
        self.training = Training(self._task.chance(self._data), self._task.measure, micro_batch=micro_batch)
        self._rate, self._epoch, self._step = 1, 1, 0
        self._epoch_seconds = 0.0
        # The sum is kept on the device: reading a number after each step would make a GPU wait.
        self._loss = torch.zeros((), device=self._device)
        self._model: nn.Module | None = None
        self._optimizers: Optimizers | None = None
        self._recorder = recorder
        self._initial = initial or {}
        self._affordable = affordable
        self._step_on: Step = self._plain_step

    @property
    def position(self) -> Position:
        """Position of the next step."""
        return Position(rate=self._rate, epoch=self._epoch, step=self._step)

    @property
    def counted(self) -> list[EpochRecord]:
        """The epochs that count: those of the present learning rate, once it had begun to learn."""
        records = self.training.records
        return [record for record in records if record.rate == self._rate and record.train_loss is not None]

    def run(self) -> None:
        """Train from the present position to the end, whichever it is."""
        while self._rate <= self._recipe.max_rates:
            self._hooks.pause()
            if self._model is None:
                self._begin()
            if self._learns():
                self._test()
                self.training.status = "completed"
                return
            self._rate, self._epoch, self._model = self._rate + 1, 1, None
            if self._rate <= self._recipe.max_rates:  # there is no other net to go on with
                self._hooks.at_rest()
        rates = ", ".join(f"{rate:.3g}" for rate in self.training.learning_rates)
        self.training.reason = f"no better than chance after the first epoch, at each of the learning rates {rates}"

    def forget(self) -> None:
        """Free the net. Its circular references would keep it until the garbage collector runs."""
        self._model = self._optimizers = None
        self._step_on = self._plain_step

    def _begin(self) -> None:
        """Begin the present learning rate with fresh weights."""
        self.training.learning_rates = [rules.learning_rate(self._recipe, rate, 1) for rate in range(1, self._rate + 1)]
        self.training.epochs = 0
        seed = rules.derive_seed(self._recipe, self._digest, self._rate, 0, "weights")
        torch.default_generator.manual_seed(seed)  # modules that draw from torch's own generator are built as usual
        model = self._task.build(self._data, torch.Generator().manual_seed(seed))
        fresh = model.state_dict()
        fitting = {
            name: tensor
            for name, tensor in self._initial.items()
            if name in fresh and tensor.shape == fresh[name].shape
        }
        model.load_state_dict({**fresh, **fitting})
        self._model = model.to(self._device)
        self._optimizers = Optimizers(self._model, self._recipe, self._task.turns())
        if self._recorder is not None:
            self._step_on = RecordedStep(self._plain_step, self._recipe.batch_size, self._recorder, self._affordable)

    def _learns(self) -> bool:
        """Train the remaining epochs of the present learning rate; False if the first of them did not learn."""
        training = self.training
        while self._epoch <= self._recipe.epochs:
            self._train_epoch()
            started = time.perf_counter()
            measures, reward, odd = self._evaluate("validation")
            loss = self._loss.item() / self._examples
            finite = math.isfinite(loss) and reward is not None
            if odd and math.isfinite(loss) and self._is_sound():
                raise MeasureError(
                    f"{self._task.in_words}: {odd} after epoch {self._epoch}, although the net's loss is finite"
                )
            record = EpochRecord(
                rate=self._rate,
                epoch=self._epoch,
                learning_rate=rules.learning_rate(self._recipe, self._rate, self._epoch),
                train_loss=loss if finite else None,
                reward=training.chance if reward is None else reward,
                measures=measures,
                val_accuracy=measures.get("accuracy") if training.measure == "accuracy" else None,
                seconds=self._epoch_seconds + time.perf_counter() - started,
            )
            training.records.append(record)
            self._hooks.on_epoch(record)
            self._step, self._epoch_seconds = 0, 0.0
            self._loss.zero_()
            if self._epoch == 1 and not (finite and self._task.learned(measures, self._data)):
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
        """Train the rest of one pass over the training examples, including the last and smaller batch."""
        recipe = self._recipe
        assert self._optimizers is not None
        self._optimizers.set_rate(rules.learning_rate(recipe, self._rate, self._epoch))
        self._net.train()
        started = time.perf_counter()
        try:
            for batch in self._batches():
                self.training.first_step = self.training.first_step or time.monotonic()
                seed_dropout(self._dropout, self._seed("dropout", self._step))
                self._step_on(*batch)
                self._step += 1
                self.training.last_step = time.monotonic()
                self.training.images += len(batch[0])
                self._hooks.pause()
            self._loss.item()  # so that the measured time includes the work
        finally:
            seconds = time.perf_counter() - started
            self._epoch_seconds += seconds
            self.training.seconds += seconds

    def _batches(self) -> Iterator[tuple[Tensor, ...]]:
        """The batches of the present epoch, from the present step on. Several are prepared at once: for one of them, a
        device takes less time to compute than a processor to ask for it.
        """
        size, ahead = self._recipe.batch_size, self._ahead
        if self._step * size >= self._examples:
            return  # interrupted behind the last step; split() makes one empty part of no indices
        order = torch.randperm(self._examples, generator=self._generator("order", 0)).to(self._device)
        begun = self._step - self._step % ahead
        for place, indices in enumerate(order[begun * size :].split(ahead * size)):
            first = begun + place * ahead
            with torch.no_grad():  # batches that are prepared together must not share a graph
                prepared = self._task.batch(self._data, indices, self._generator("augmentation", first))
            batches = zip(*(tensor.split(size) for tensor in prepared), strict=True)
            yield from islice(batches, max(0, self._step - first), None)

    @cached_property
    def _ahead(self) -> int:
        """Number of batches that are prepared at once: the same on every device, because random numbers are drawn for
        all of them together.
        """
        example = self._task.batch(
            self._data, torch.zeros(1, dtype=torch.int64, device=self._device), torch.Generator()
        )
        size = sum(tensor.nbytes for tensor in example) * self._recipe.batch_size
        return max(1, _PREPARED // max(1, size))

    def _plain_step(self, *batch: Tensor) -> None:
        assert self._optimizers is not None
        for turn, optimizer in enumerate(self._optimizers):
            optimizer.forget_gradients()
            for part in zip(*(tensor.split(self._at_once) for tensor in batch), strict=True):
                with autocast(self._device, self._recipe.precision):
                    loss = self._task.turn_loss(turn, self._net, *part)
                check_loss(self._task, loss)
                # A gradient that is handed over would make torch import sympy, which takes half a second.
                (loss * (1 / len(batch[0]))).backward(inputs=optimizer.inputs)
                self._loss += loss.detach()
            optimizer.step()

    def _test(self) -> None:
        if self._recipe.evaluate_test and self._task.examples(self._data, "test"):
            self._load_best()
            self.training.test_measures, _, odd = self._evaluate("test")
            if odd:
                say(f"{self._task.in_words}: {odd} on the test part, and is left out")

    def draw(self) -> None:
        """Have the task draw its pictures of the best epoch's weights, if it has any. An error is only reported."""
        if type(self._task).pictures is Task.pictures or not self.training.weights:
            return
        try:
            self._load_best()
            with torch.inference_mode():
                found = self._task.pictures(self._net.eval(), self._data)
            self.training.pictures = {name: checked_picture(name, data) for name, data in found.items()}
        except Exception as error:
            say(f"there are no pictures: {type(error).__name__}: {one_line(str(error))}")

    def _load_best(self) -> None:
        assert self.training.weights is not None
        self._net.load_state_dict(self.training.weights)

    def _is_sound(self) -> bool:
        """Whether the net has a finite loss on training examples. A net that training has blown up has none, and its
        measures are not the task's fault.
        """
        net = self._net.eval()
        first = torch.arange(min(self._at_once, self._examples), device=self._device)
        with autocast(self._device, self._recipe.precision):
            batch = self._task.batch(self._data, first, self._generator("augmentation", 0))
            losses = [self._task.turn_loss(turn, net, *batch) for turn in range(len(self._task.turns()))]
        return all(math.isfinite(loss.item()) for loss in losses)

    def _evaluate(self, part: Part) -> Measurement:
        batch = self._task.evaluation_batch(self._data, self._at_once, self._device)
        with torch.inference_mode(), autocast(self._device, self._recipe.precision):
            found = self._task.evaluate(self._net.eval(), self._data, part, batch, self._hooks.pause)
        return measured(self._task, found)

    @property
    def _at_once(self) -> int:
        """Number of examples of a batch that go through the net together."""
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
        """A checkpoint with everything that the rest of the course depends on, in main memory. `seconds` is the time of
        training so far.
        """
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
        if self._model is not None and self._optimizers is not None:
            tensors |= {f"model/{name}": tensor for name, tensor in self._model.state_dict().items()}
            tensors |= {f"optimizer/{name}": tensor for name, tensor in self._optimizers.state().items()}
        tensors = _in_main_memory(tensors)
        tensors |= {f"best/{name}": tensor for name, tensor in (training.weights or {}).items()}
        return Checkpoint(state, list(training.records), tensors)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state in `checkpoint`.

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
            assert self._optimizers is not None
            self._optimizers.load(checkpoint.part("optimizer"))
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
