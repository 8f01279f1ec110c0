"""Recorded steps: what is stepped as it is, what is recorded, what is repeated. No GPU is needed to see that; what a
recording computes is torch's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from metaqnn_trainer.contract.messages import Recipe
from metaqnn_trainer.images.dataset import Dataset
from metaqnn_trainer.sources.make import MadeDataset
from metaqnn_trainer.training.course import Course, Hooks
from metaqnn_trainer.training.graph import RecordedStep
from metaqnn_trainer.training.outcome import Training
from tests.trainer.conftest import spec_of, subject_of


class Tape:
    """Records by remembering what to call."""

    def __init__(self, trouble: RuntimeError | None = None) -> None:
        self.trouble = trouble
        self.did: list[str] = []

    def warm_up(self, step: Callable[[], None]) -> None:
        self.did.append("warm")
        step()

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        self.did.append("record")
        if self.trouble is not None:
            raise self.trouble

        def repeat() -> None:
            self.did.append("repeat")
            step()

        return repeat


def test_warmed_up_recorded_and_repeated_on_the_same_tensors() -> None:
    seen: list[tuple[int, int, int]] = []

    def step(images: Tensor, labels: Tensor) -> None:
        seen.append((images.data_ptr(), int(images.sum()), int(labels.sum())))

    tape = Tape()
    recorded = RecordedStep(step, 4, tape)
    sizes = [3, 4, 4, 4, 2, 4, 4, 1, 4]
    for number, size in enumerate(sizes):
        recorded(torch.full((size, 1), number), torch.full((size,), 10 * number))
    assert tape.did == ["warm"] * 3 + ["record"] + ["repeat"] * 3
    assert [values for _, *values in seen] == [[number * size, 10 * number * size] for number, size in enumerate(sizes)]
    assert len({place for (place, *_), size in zip(seen, sizes, strict=True) if size == 4}) == 1


def trained(digits: MadeDataset, dataset: Dataset, tape: Tape | None) -> Training:
    spec = spec_of(digits.ref, recipe=Recipe(epochs=2, batch_size=256, learning_rate=0.01, mirror=True))
    course = Course(subject_of(spec, dataset), Hooks(lambda: None, lambda record: None, lambda: None), recorder=tape)
    course.run()
    return course.training


def weights(training: Training) -> list[bytes]:
    assert training.weights is not None
    return [tensor.numpy().tobytes() for tensor in training.weights.values()]


def test_training_with_it_is_training(digits: MadeDataset, digits_dataset: Dataset) -> None:
    tape, broken = Tape(), Tape(RuntimeError("operation not permitted when stream is capturing"))
    plain = trained(digits, digits_dataset, None)
    assert weights(trained(digits, digits_dataset, tape)) == weights(plain)
    assert tape.did == ["warm"] * 3 + ["record"] + ["repeat"] * 5  # four whole batches in each of two epochs
    assert weights(trained(digits, digits_dataset, broken)) == weights(plain)
    assert broken.did == ["warm"] * 3 + ["record"]


def test_memory_that_runs_out_while_recording_is_told(digits: MadeDataset, digits_dataset: Dataset) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        trained(digits, digits_dataset, Tape(torch.OutOfMemoryError("CUDA out of memory.")))
