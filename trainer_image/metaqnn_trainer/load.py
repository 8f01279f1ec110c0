"""Loads a trained net into Python, from the folder that `metaqnn-orch pull` made and from its dataset object.

from metaqnn_trainer.load import load

trained = load("best/0123456789ab", "runs/datasets/digits-0123456789abcdef.safetensors")
trained.accuracy("test")
trained.logits(images).argmax(1)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from torch import Tensor, nn

from metaqnn_trainer import artifacts
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import ENOUGH_BYTES, decode
from metaqnn_trainer.contract.dataset import object_digest
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import TrainingRequest, TrialSpec
from metaqnn_trainer.contract.result import Artifact, TrainingResult
from metaqnn_trainer.errors import DatasetError, RequestError
from metaqnn_trainer.images.dataset import Dataset, normalised, resized
from metaqnn_trainer.images.evaluate import measured
from metaqnn_trainer.images.resize import pushed
from metaqnn_trainer.plugins import TASKS
from metaqnn_trainer.reading import DatasetObject, Reader, parse_object
from metaqnn_trainer.spaces.base import SPACES
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.errors import ObjectMissing
from metaqnn_trainer.tasks.base import Load, Task, task_of
from metaqnn_trainer.tasks.classification import Classification
from metaqnn_trainer.training.outcome import Weights


@dataclass(frozen=True, slots=True)
class Trained:
    """A network with the weights of its best epoch, and the dataset that it was trained on, in main memory.

    `model` takes normalised images (n, channels, size, size) to logits (n, classes).
    """

    spec: TrialSpec
    model: nn.Module
    dataset: Dataset

    def accuracy(self, part: Literal["train", "validation", "test"] = "validation") -> float:
        """Share of one part of the dataset that the network classifies correctly."""
        return measured(self.model, self.dataset.part(part), self.dataset).accuracy

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Logits (n, classes) for images (n, channels, height, width), uint8, of any size. Images of the net's own size
        are taken as they are; others are resized as `dataset push` resizes, and then as the search did.
        """
        made, size = self.dataset.info.images().size, self.spec.images_of()
        sized = images
        if images.shape[-2:] not in ((size, size), (made, made)):
            sized = pushed(images, made).to(torch.uint8)
        sized = resized(sized, size)
        found: Tensor = self.model(normalised(sized, self.dataset.mean, self.dataset.std))
        return found

    def features(self, images: Tensor) -> Tensor:
        """What the last layer with weights reads (n, features), for images as `logits` takes them. Of maps it is the
        mean over their pixels.
        """
        *_, last = (module for module in self.model.modules() if isinstance(module, nn.Linear | nn.Conv2d))
        read: list[Tensor] = []
        hook = last.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
        try:
            self.logits(images)
        finally:
            hook.remove()
        return read[0].mean((2, 3)) if read[0].dim() == 4 else read[0].flatten(1)

    def to(self, device: torch.device) -> Trained:
        """The same on `device`: images must be there, too."""
        mean, std = self.dataset.mean.to(device), self.dataset.std.to(device)
        return Trained(self.spec, self.model.to(device), replace(self.dataset, mean=mean, std=std))


def load(directory: Path | str, dataset: Path | str) -> Trained:
    """The trial in `directory` (request.json, result.json, weights.safetensors) with the file of its dataset object.

    Raises:
        RequestError: the trial kept no weights, or they are not the result's, or it classifies no images.
        DatasetError: the file is another dataset, or none.
        MessageError: request.json or result.json is not one.
        OSError: a file is not there.
    """
    directory = Path(directory)
    spec, result = _trusted((directory / "request.json").read_bytes(), (directory / "result.json").read_bytes())
    kept = _kept(result)
    weights = (directory / artifacts.plain_name("weights")).read_bytes()
    if hashlib.sha256(weights).hexdigest() != kept.sha256:
        raise RequestError(f"result.json and weights.safetensors in {directory} do not belong together")
    data = Path(dataset).read_bytes()
    if object_digest(data) != spec.dataset.digest:
        raise DatasetError(f"{dataset} is not {spec.dataset.name}-{spec.dataset.digest}, on which it was trained")
    return assembled(spec, safetensors.torch.load(weights), parse_object(data, str(dataset)))


def load_trial(
    store: Store, run: str, trial: str, tasks: Load = TASKS.load, spaces: Load = SPACES.load
) -> tuple[Trained, TrainingResult]:
    """A trial in the store, and its result. `tasks` and `spaces` return plug-ins by their names.

    Raises:
        RequestError: the trial has no request, no result or no weights, they do not belong together, or it does not
            classify images.
        DatasetError: its dataset is missing, or is not what it should be.
        StoreError: the store does not answer.
    """
    try:
        request = store.get(keys.request(run, trial), ENOUGH_BYTES)
        spec, result = _trusted(request, store.get(keys.result(run, trial), ENOUGH_BYTES))
        weights = artifacts.read(store, run, trial, "weights", _kept(result))
    except (ObjectMissing, MessageError) as error:
        raise RequestError(f"trial {trial} of run {run} is not complete: {error}") from error
    found = Reader(store).dataset(spec.dataset)
    return assembled(spec, safetensors.torch.load(weights), found, tasks, spaces), result


def _trusted(request: bytes, answer: bytes) -> tuple[TrialSpec, TrainingResult]:
    """The trial's specification and its result, if they belong together."""
    spec = decode(TrainingRequest, request, "request.json").spec
    result = decode(TrainingResult, answer, "result.json")
    if result.spec_digest != spec.digest():
        raise RequestError(f"request.json and result.json of trial {result.trial} do not belong together")
    return spec, result


def _kept(result: TrainingResult) -> Artifact:
    if result.weights is None:
        kind = f": it is {result.status}" if result.status != "completed" else ""
        raise RequestError(f"trial {result.trial} kept no weights{kind}")
    return result.weights


def assembled(
    spec: TrialSpec, weights: Weights, found: DatasetObject, tasks: Load = TASKS.load, spaces: Load = SPACES.load
) -> Trained:
    """A network of its specification, its weights, and images.

    Raises:
        RequestError: it does not classify images.
        DatasetError: the dataset has no images in classes.
        RuntimeError: the weights are those of another net.
    """
    # The net has no dropout, which does nothing after training.
    plain = spec.model_copy(update={"recipe": spec.recipe.model_copy(update={"dropout": "none"})})
    task = task_of(plain, tasks, spaces)
    if not isinstance(task, Classification):
        raise _no_classifier(task)
    try:
        data = task.prepared(found, torch.device("cpu"))
    except (DatasetError, MessageError) as error:
        if type(task) is Classification:
            raise
        raise _no_classifier(task) from error  # it reads its dataset in another way than it inherits
    model = task.build(data, torch.Generator())
    model.load_state_dict(weights)
    return Trained(spec, model.eval(), data)


def _no_classifier(task: Task) -> RequestError:
    return RequestError(
        f"nets of the task {task.spec.task.name} do not classify images: only their weights are available, from "
        "`metaqnn-orch pull`"
    )
