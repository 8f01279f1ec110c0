"""Segmentation: each voxel of an image or a volume is named. The reward is the Dice coefficient.

A dataset object holds `train_x` (cases, channels, *edges) float32 and `train_y` (cases, *edges) uint8, and the same for
`validation` and `test`. A space of two edges on volumes means that nets are trained on their slices along the first
axis; they are measured by whole volumes, so that nets of both kinds are comparable.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from metaqnn_segmentation.nets import ResidualUNet
from metaqnn_segmentation.space import ResidualUNets
from metaqnn_trainer.errors import RequestError
from metaqnn_trainer.reading import DatasetObject
from metaqnn_trainer.tasks.base import Part, Pause, Task


class SegmentationOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")
    smooth: float = Field(1.0, gt=0, le=1e6, description="Voxels added above and below in the Dice loss.")


def dice_loss(logits: Tensor, labels: Tensor, smooth: float) -> Tensor:
    """1 minus the softened Dice coefficient (Milletari et al. 2016), (n): the mean over all classes. `smooth` is added
    above and below, so that a class that an example does not have costs little where the net does not name it.
    """
    found = logits.softmax(1).flatten(2)
    true = F.one_hot(labels.flatten(1).long(), logits.shape[1]).transpose(1, 2)
    shared, sizes = (found * true).sum(2), found.sum(2) + true.sum(2)
    return 1 - ((2 * shared + smooth) / (sizes + smooth)).mean(1)


def dice(named: Tensor, labels: Tensor, classes: int) -> float:
    """The Dice coefficient (1945) of labels (cases, *edges): for each case the mean over the classes that it has,
    without the background; of these the mean over the cases that have any. 0 where none has.
    """
    of_cases = []
    for found, true in zip(named.flatten(1), labels.flatten(1), strict=True):
        pairs = torch.bincount(true.long() * classes + found.long(), minlength=classes**2).reshape(classes, classes)
        values = (2 * pairs.diagonal() / (pairs.sum(1) + pairs.sum(0)).double())[1:][pairs.sum(1)[1:] > 0]
        of_cases += [values.mean().item()] if len(values) else []
    return sum(of_cases) / len(of_cases) if of_cases else 0.0


class Segmentation(Task):
    Options = SegmentationOptions
    measure = "dice"
    bounds = (0.0, 1.0)

    def _sliced(self, y: Tensor) -> bool:
        """Whether slices of volumes go through a net, and not the cases themselves."""
        return isinstance(self.space, ResidualUNets) and y.dim() - 1 > self.space.dimensions

    def examples(self, data: DatasetObject, part: Part) -> int:
        y = data.tensors[f"{part}_y"]
        return y.shape[:2].numel() if self._sliced(y) else len(y)

    def batch(self, data: DatasetObject, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        x, y = data.tensors["train_x"], data.tensors["train_y"]
        if not self._sliced(y):
            return x[indices], y[indices]
        case, place = indices // y.shape[1], indices % y.shape[1]
        return x[case, :, place], y[case, place]

    def build(self, data: DatasetObject, generator: torch.Generator) -> nn.Module:
        if not isinstance(self.space, ResidualUNets) or self.space.mismatches(data.info):
            raise RequestError(f"the space {self.spec.space.name} has no nets for the dataset {data.info.name}")
        return ResidualUNet(self.space, self.spec.net)

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        return dice_loss(model(batch[0]), batch[1], self.options.smooth).sum()

    def probabilities(self, model: nn.Module, data: DatasetObject, part: Part, batch: int, pause: Pause) -> Tensor:
        """Of each class at each voxel, (cases, classes, *edges), whether the net takes volumes or their slices."""
        found, x, y = [], data.tensors[f"{part}_x"], data.tensors[f"{part}_y"]
        for some in (x.transpose(1, 2).flatten(0, 1) if self._sliced(y) else x).split(batch):
            found.append(model(some).softmax(1))
            pause()
        together = torch.cat(found)
        return together.unflatten(0, y.shape[:2]).transpose(1, 2) if self._sliced(y) else together

    def evaluate(self, model: nn.Module, data: DatasetObject, part: Part, batch: int, pause: Pause) -> dict[str, float]:
        found = self.probabilities(model, data, part, batch, pause)
        return {"dice": dice(found.argmax(1), data.tensors[f"{part}_y"], found.shape[1])}
