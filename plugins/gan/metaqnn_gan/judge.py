"""Datasets with a judge: images in classes, and the classifier in whose features generated images are compared.

A dataset object holds the images as every classified dataset does. Beside them are `judge_spec`, the JSON of the
classifier's specification as bytes, and its weights, `judge/NAME`. So the judge is a part of the dataset's digest, and
of every trial's id; a trial needs nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metaqnn_trainer.contract.codec import canonical_json, decode
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import Recipe, TrialSpec
from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.images.dataset import normalised, resized
from metaqnn_trainer.reading import DatasetObject, parse_object
from metaqnn_trainer.sources.base import Examples, Report
from metaqnn_trainer.sources.make import make_dataset
from metaqnn_trainer.tasks.base import task_of
from metaqnn_trainer.tasks.classification import Classification
from metaqnn_trainer.training.outcome import Subject
from metaqnn_trainer.training.session import train

SPEC: Final = "judge_spec"
WEIGHTS: Final = "judge/"
FEATURES: Final = 256  # at most; more are averaged, neighbours with each other
CPU: Final = torch.device("cpu")
DIGITS_NET: Final = "[C(16,3,1), P(2,2), C(32,3,1), P(2,2), FC(64), SM(10)]"
DIGITS_RECIPE: Final = Recipe(epochs=10, batch_size=32, decay_epochs=4, dropout="none")


class Seen(NamedTuple):
    """`features` (n, d), float64, and `logits` (n, classes)."""

    features: Tensor
    logits: Tensor


class Judge:
    """A trained classifier. Its features are what its last layer with weights reads."""

    def __init__(self, model: nn.Module, mean: Tensor, std: Tensor, size: int) -> None:
        self._model = model.eval()
        self._mean, self._std, self._size = mean, std, size
        self._last = [each for each in model.modules() if isinstance(each, nn.Linear | nn.Conv2d)][-1]

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Seen:
        """What it sees in images (n, channels, size, size) uint8 of any size."""
        read: list[Tensor] = []
        hook = self._last.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
        try:
            with torch.autocast(images.device.type, enabled=False):
                logits = self._model(normalised(resized(images, self._size), self._mean, self._std))
        finally:
            hook.remove()
        features = read[0].mean((2, 3)) if read[0].dim() == 4 else read[0].flatten(1)
        if features.shape[1] > FEATURES:
            features = F.adaptive_avg_pool1d(features, FEATURES)
        return Seen(features.double(), logits)


def judge_in(found: DatasetObject, device: torch.device) -> Judge:
    """The judge of a dataset, on `device`.

    Raises:
        DatasetError: it has none.
    """
    if SPEC not in found.tensors:
        raise DatasetError(
            f"the dataset {found.info.name} has no judge: python -m metaqnn_gan RUN --store STORE adds one"
        )
    try:
        spec = decode(TrialSpec, bytes(found.tensors[SPEC].cpu().numpy()), SPEC)
    except MessageError as error:
        raise DatasetError(f"the judge of {found.info.name} cannot be read: {error}") from error
    task = _classification(spec)
    data = task.prepared(found, CPU)
    model = task.build(data, torch.Generator())
    weights = {name.removeprefix(WEIGHTS): each for name, each in found.tensors.items() if name.startswith(WEIGHTS)}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise DatasetError(f"the judge's weights in {found.info.name} are those of another net") from error
    return Judge(model.to(device), data.mean.to(device), data.std.to(device), spec.images_of())


def _classification(spec: TrialSpec) -> Classification:
    """
    Raises:
        DatasetError: the task is another one.
    """
    plain = spec.model_copy(update={"recipe": spec.recipe.model_copy(update={"dropout": "none"})})
    task = task_of(plain)
    if not isinstance(task, Classification):
        raise DatasetError(f"a judge classifies images, but the task is {spec.task.name}")
    return task


def judged(
    found: DatasetObject, spec: TrialSpec, weights: Mapping[str, Tensor], accuracy: float, name: str
) -> Examples:
    """A dataset of images with a judge: its specification, its weights, its validation accuracy, and its name for
    people.
    """
    tensors = {key: each.numpy() for key, each in found.tensors.items() if not key.startswith((SPEC, WEIGHTS))}
    own = {WEIGHTS + key: each.cpu().numpy() for key, each in weights.items()}
    text = np.frombuffer(canonical_json(spec.model_dump(mode="json")), np.uint8)
    info = found.info.model_dump(exclude={"name"})
    facts: dict[str, Any] = {
        **info.pop("facts"),
        "judge": name,
        "judge_accuracy": accuracy,
        "judge_sha256": hashlib.sha256(b"".join(own[key].tobytes() for key in sorted(own))).hexdigest(),
    }
    return Examples({**tensors, SPEC: text, **own}, {**info, "facts": facts})


def read_digits(path: Path | None, report: Report) -> Examples:
    """scikit-learn's digits with a small classifier that is trained here, in a second or two.

    Raises:
        DatasetError: a path was given.
    """
    made = make_dataset("digits", path)
    found = parse_object(made.data, made.ref.name)
    spec = TrialSpec(net=DIGITS_NET, dataset=made.ref, image_size=8, recipe=DIGITS_RECIPE)
    task = task_of(spec)
    data = task.prepared(found, CPU) if isinstance(task, Classification) else None
    with _one_thread():
        training = train(Subject(task, data, CPU, task.cost(data)), lambda record: None)
    report(f"the judge classifies {training.reward:.1%} of the validation images correctly")
    return judged(found, spec, training.weights or {}, training.reward, "trained with the dataset")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums are rounded in an order that depends on the number of threads, and the digest depends on every bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
