"""Datasets with a judge: images in classes, and the classifier in whose features generated images are compared.

A dataset object holds the images as every classified dataset does. Beside them are `judge_spec`, the JSON of the
classifier's specification as bytes, and its weights, `judge/NAME`. So the judge is a part of the dataset's digest, and
of every trial's id; a trial needs nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from metaqnn_trainer.contract.codec import canonical_json, decode
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import Recipe, TrialSpec
from metaqnn_trainer.errors import DatasetError, RequestError
from metaqnn_trainer.load import Trained, assembled
from metaqnn_trainer.reading import DatasetObject, parse_object
from metaqnn_trainer.sources.base import Examples, Report
from metaqnn_trainer.sources.make import make_dataset
from metaqnn_trainer.tasks.base import task_of
from metaqnn_trainer.tasks.classification import Classification
from metaqnn_trainer.training.outcome import Subject
from metaqnn_trainer.training.session import train

SPEC: Final = "judge_spec"
WEIGHTS: Final = "judge/"
DIGITS_NET: Final = "[C(16,3,1), P(2,2), C(32,3,1), P(2,2), FC(64), SM(10)]"
DIGITS_RECIPE: Final = Recipe(epochs=10, batch_size=32, decay_epochs=4, dropout="none")


def judge_in(found: DatasetObject) -> Trained:
    """The judge of a dataset, in main memory.

    Raises:
        DatasetError: it has none.
    """
    if SPEC not in found.tensors:
        raise DatasetError(
            f"the dataset {found.info.name} has no judge: `python -m metaqnn_gan RUN` makes one that has"
        )
    weights = {name.removeprefix(WEIGHTS): each for name, each in found.tensors.items() if name.startswith(WEIGHTS)}
    try:
        spec = decode(TrialSpec, bytes(found.tensors[SPEC].numpy()), SPEC)
        return assembled(spec, safetensors.torch.save(weights), found)
    except (MessageError, RequestError, RuntimeError) as error:
        raise DatasetError(f"the judge of {found.info.name} cannot be used: {error}") from error


def judged(
    found: DatasetObject, spec: TrialSpec, weights: Mapping[str, Tensor], accuracy: float, name: str
) -> Examples:
    """A dataset of images with a judge: its specification, its weights, its validation accuracy, and its name for
    people.
    """
    tensors = {key: each.numpy() for key, each in found.tensors.items() if not key.startswith((SPEC, WEIGHTS))}
    own = {WEIGHTS + key: each.cpu().numpy() for key, each in weights.items()}
    text = np.frombuffer(canonical_json(spec.model_dump(mode="json")), np.uint8)
    digest = hashlib.sha256(b"".join(own[key].tobytes() for key in sorted(own))).hexdigest()
    info = found.info.model_dump(exclude={"name"})
    facts: dict[str, Any] = {"judge": name, "judge_accuracy": accuracy, "judge_sha256": digest}
    return Examples({**tensors, SPEC: text, **own}, {**info, "facts": {**info["facts"], **facts}})


def read_digits(path: Path | None, report: Report) -> Examples:
    """scikit-learn's digits with a small classifier that is trained here, in a second or two.

    Raises:
        DatasetError: a path was given.
    """
    made = make_dataset("digits", path)
    found = parse_object(made.data, made.ref.name)
    spec = TrialSpec(net=DIGITS_NET, dataset=made.ref, image_size=8, recipe=DIGITS_RECIPE)
    task, threads, device = task_of(spec), torch.get_num_threads(), torch.device("cpu")
    assert isinstance(task, Classification)
    data = task.prepared(found, device)
    torch.set_num_threads(1)  # in which order sums are rounded depends on it, and the digest on every bit
    try:
        training = train(Subject(task, data, device, task.cost(data)), lambda record: None)
    finally:
        torch.set_num_threads(threads)
    report(f"the judge classifies {training.reward:.1%} of the validation images correctly")
    return judged(found, spec, training.weights or {}, training.reward, "trained with the dataset")
