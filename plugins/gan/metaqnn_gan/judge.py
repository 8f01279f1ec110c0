"""Datasets with a judge: images in classes, and the classifier in whose features generated images are compared.

Beside the images, a dataset object holds `judge_spec`, the JSON of the classifier's specification as bytes, and its
weights, `judge/NAME`. So the judge is a part of the dataset's digest and of every trial's id.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import torch

from metaqnn_trainer.contract.codec import canonical_json, decode
from metaqnn_trainer.contract.errors import ContractError
from metaqnn_trainer.contract.messages import Recipe, TrialSpec
from metaqnn_trainer.errors import DatasetError, RequestError
from metaqnn_trainer.load import Trained, assembled, load_trial
from metaqnn_trainer.reading import DatasetObject, Reader, parse_object
from metaqnn_trainer.sources.base import Examples, Report
from metaqnn_trainer.sources.make import make_dataset
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.tasks.classification import Classification
from metaqnn_trainer.training.outcome import Subject, Weights
from metaqnn_trainer.training.session import train

SPEC: Final = "judge_spec"
WEIGHTS: Final = "judge/"
SOURCE: Final = "--source STORE/runs/RUN/trials/TRIAL"
COPY: Final = "a run of an S3 store comes here with `metaqnn-orch runs copy RUN --store URI --to-store STORE`"
DIGITS_NET: Final = "[C(16,3,1), P(2,2), C(32,3,1), P(2,2), FC(64), SM(10)]"
DIGITS_RECIPE: Final = Recipe(epochs=10, batch_size=32, decay_epochs=4, dropout="none")


def judge_in(found: DatasetObject) -> Trained:
    """The judge of a dataset, in main memory.

    Raises:
        DatasetError: it has none.
    """
    if SPEC not in found.tensors:
        raise DatasetError(f"{found.info.name} has no judge: `metaqnn-orch dataset push judged {SOURCE}`")
    weights = {name.removeprefix(WEIGHTS): each for name, each in found.tensors.items() if name.startswith(WEIGHTS)}
    try:
        return assembled(decode(TrialSpec, bytes(found.tensors[SPEC].numpy()), SPEC), weights, found)
    except (ContractError, RequestError, RuntimeError) as error:
        raise DatasetError(f"the judge of {found.info.name} cannot be used: {error}") from error


def judged(found: DatasetObject, spec: TrialSpec, weights: Weights, accuracy: float, name: str) -> Examples:
    """A dataset of images with a judge, which has a validation accuracy, and a name for people."""
    own = {WEIGHTS + key: each.numpy() for key, each in weights.items()}
    tensors = {key: each.numpy() for key, each in found.tensors.items() if not key.startswith((SPEC, WEIGHTS))} | own
    tensors[SPEC] = np.frombuffer(canonical_json(spec.model_dump(mode="json")), np.uint8)
    digest = hashlib.sha256(b"".join(own[key].tobytes() for key in sorted(own))).hexdigest()
    facts = {**found.info.facts, "judge": name, "judge_accuracy": accuracy, "judge_sha256": digest}
    return Examples(tensors, {**found.info.model_dump(exclude={"name"}), "facts": facts})


def read_trial(path: Path | None, report: Report) -> Examples:
    """The images that a classifier was trained on, and itself as the judge. `path` is its trial's folder in a store.

    Raises:
        DatasetError, RequestError: it is none, or as `load_trial` says.
    """
    folder = Path() if path is None else path.resolve()
    if path is None or folder.parts[-4::2] != ("runs", "trials"):
        raise DatasetError(f"say which trained classifier is the judge: {SOURCE}; {COPY}")
    store, run, trial = DirectoryStore(folder.parents[3]), folder.parts[-3], folder.name
    trained, result = load_trial(store, run, trial)
    found = Reader(store).dataset(trained.spec.dataset)
    return judged(found, trained.spec, trained.model.state_dict(), result.reward, f"trial {trial} of run {run}")


def read_digits(path: Path | None, report: Report) -> Examples:
    """scikit-learn's digits with a small classifier that is trained here; with a path as `read_trial`."""
    if path is not None:
        return read_trial(path, report)
    made = make_dataset("digits")
    found = parse_object(made.data, made.ref.name)
    spec = TrialSpec(net=DIGITS_NET, dataset=made.ref, image_size=8, recipe=DIGITS_RECIPE)
    task, device, threads = Classification(spec, None, None), torch.device("cpu"), torch.get_num_threads()
    data = task.prepared(found, device)
    torch.set_num_threads(1)  # in which order sums are rounded depends on it, and the digest on every bit
    try:
        training = train(Subject(task, data, device, task.cost(data)), lambda record: None)
    finally:
        torch.set_num_threads(threads)
    return judged(found, spec, training.weights or {}, training.reward, "trained with the dataset")
