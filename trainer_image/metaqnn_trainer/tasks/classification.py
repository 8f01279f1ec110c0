"""The task of classifying images: cross-entropy, and the share of images that are classified correctly."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metaqnn_trainer.contract.checks import check_recipe
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import CLASSIFIED, TrialSpec
from metaqnn_trainer.errors import RequestError
from metaqnn_trainer.images.augment import augmented, jittered
from metaqnn_trainer.images.dataset import Dataset, labelled, normalised, prepare
from metaqnn_trainer.images.evaluate import EVALUATION_BATCH, measured
from metaqnn_trainer.modules.base import builder_of
from metaqnn_trainer.modules.claims import check_claims
from metaqnn_trainer.modules.model import build_model
from metaqnn_trainer.reading import DatasetObject, Reader
from metaqnn_trainer.spaces.base import Cost
from metaqnn_trainer.spaces.cnn.layer import Net, Shape
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.spaces.cnn.spec import spec_cost
from metaqnn_trainer.tasks.base import Part, Pause, Task
from metaqnn_trainer.training.device import computes_in
from metaqnn_trainer.training.memory_estimate import evaluation_batch, training_memory
from metaqnn_trainer.training.recipe import dropout_probabilities


class Classification(Task):
    """Classification of images, which the recipe's settings augment. Designs of another family than cnn must represent
    nets of cnn (Space.net).
    """

    measure = "accuracy"
    measures: ClassVar[tuple[str, ...]] = CLASSIFIED
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def load(self, read: Reader, device: torch.device) -> Dataset:
        return self.prepared(read.dataset(self.spec.dataset), device)

    def prepared(self, found: DatasetObject, device: torch.device) -> Dataset:
        """The images of a dataset object, prepared for training.

        Raises:
            DatasetError: it has none, or they differ from its header.
            MessageError: their size is not given.
        """
        return prepare(labelled(found), self.spec.images_of(), device, self.spec.recipe.normalisation)

    def examples(self, data: Dataset, part: Part) -> int:
        return len(data.part(part))

    def batch(self, data: Dataset, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        recipe, labels = self.spec.recipe, data.train.labels[indices]
        images = normalised(jittered(data.train.images[indices], recipe, generator), data.mean, data.std)
        images = augmented(images, recipe, generator)
        if recipe.class_weights == "none":
            return images, labels
        return images, labels, self._class_weights(data)[labels]

    def _class_weights(self, data: Dataset) -> Tensor:
        """(classes)"""
        weights = self.spec.recipe.class_weights
        if isinstance(weights, str):
            return len(data.train) / (len(data.counts) * data.counts.clamp(min=1))
        return torch.tensor(weights).to(data.counts.device)

    def build(self, data: Dataset, generator: torch.Generator) -> nn.Module:
        net = self._net
        return build_model(net, data.shape, self.spec.model, dropout_probabilities(net, self.spec.recipe), generator)

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        images, labels, *weights = batch
        if not weights:
            return F.cross_entropy(model(images), labels, reduction="sum")
        return (F.cross_entropy(model(images), labels, reduction="none") * weights[0]).sum()

    def evaluate(self, model: nn.Module, data: Dataset, part: Part, batch: int, pause: Pause) -> dict[str, float]:
        return measured(model, data.part(part), data, pause, batch)._asdict()

    def chance(self, data: Dataset) -> float:
        return 1 / data.info.images().classes

    def learned(self, measures: dict[str, float], data: Dataset) -> bool:
        """Whether the net beats chance. Always naming the same class is chance, too: where classes are uneven (SVHN),
        its accuracy may be above the recipe's multiple of 1 / classes, and then the share of the largest class has
        to be beaten.

        With class weights the net is not trained for accuracy, and its first epoch may cost some: it has to beat the
        balanced accuracy of a net that names the same class for all images.
        """
        if self.spec.recipe.class_weights != "none":
            return measures["balanced_accuracy"] > self.spec.recipe.chance_factor / data.info.images().classes
        return measures["accuracy"] > max(self.spec.recipe.chance_factor / data.info.images().classes, data.chance())

    def cost(self, data: Dataset) -> Cost:
        net, images = self._net, data.info.images()
        for layer in net:
            builder_of(type(layer))  # a net that cannot be built is reported before training
        try:
            check_recipe(self.spec.recipe, images.channels, images.classes)
        except MessageError as error:
            raise RequestError(str(error)) from error
        if net[-1] != net[-1].for_classes(images.classes):
            raise RequestError(f"{self.spec.net} does not end in {images.classes} classes, as {data.info.name} has")
        cost = spec_cost(self.spec, images.channels) if self.space is None else self.space.cost(self.spec.net)
        check_claims(net, Shape(images.channels, self.spec.images_of()), self.spec.model)
        return cost

    def parts(self) -> int:
        return len(self._net) if self.space is None else super().parts()

    def memory(self, data: Dataset, batch: int) -> int | None:
        width = computes_in(data.mean.device, self.spec.recipe.precision).itemsize
        return training_memory(self._as_cnn, data.shape, batch, width).total

    def evaluation_batch(self, data: Dataset, batch: int, device: torch.device) -> int:
        largest = EVALUATION_BATCH if device.type == "cuda" else batch
        return evaluation_batch(self._as_cnn, data.shape, batch, largest)

    @property
    def _net(self) -> Net:
        return parse_net(self._as_cnn.net)

    @property
    def _as_cnn(self) -> TrialSpec:
        """The trial's specification with its design as a net of the cnn family."""
        if self.space is None:
            return self.spec
        return self.spec.model_copy(update={"net": self.space.net(self.spec.net)})


PLUGIN = Classification
