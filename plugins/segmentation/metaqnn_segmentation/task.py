"""Segmentation: each voxel of an image or a volume is named. The reward is the Dice coefficient.

A dataset object holds `train_x` (cases, channels, *edges) float32 and `train_y` (cases, *edges) uint8, and the same for
`validation` and `test`. A space of two edges on volumes means that nets are trained on their slices along the first
axis; they are measured by whole volumes, so that nets of both kinds are comparable.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from metaqnn_segmentation.dice import dice, dice_loss
from metaqnn_segmentation.nets import ResidualUNet
from metaqnn_segmentation.space import ResidualUNets
from metaqnn_trainer.errors import DatasetError, RequestError
from metaqnn_trainer.reading import DatasetObject, Reader
from metaqnn_trainer.tasks.base import Part, Pause, Task


class SegmentationOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")
    smooth: float = Field(1.0, gt=0, le=1e6, description="Voxels added above and below in the Dice loss.")


class Cases(NamedTuple):
    """A part of a dataset: x (cases, channels, *edges) and y (cases, *edges)."""

    x: Tensor
    y: Tensor


class Segmentation(Task):
    Options = SegmentationOptions
    measure = "dice"
    bounds = (0.0, 1.0)

    @property
    def nets(self) -> ResidualUNets:
        """
        Raises:
            RequestError: the designs are of another family.
        """
        if not isinstance(self.space, ResidualUNets):
            raise RequestError(f"the task {self.spec.task.name} trains designs of the family residual-unet alone")
        return self.space

    def load(self, read: Reader, device: torch.device) -> DatasetObject:
        data: DatasetObject = super().load(read, device)
        if wrong := self.nets.mismatches(data.info):
            said = "; ".join(f"{key} is {ours}, and of the data {theirs}" for key, (ours, theirs) in wrong.items())
            raise DatasetError(f"the dataset {data.info.name} does not fit: {said}")
        return data

    def cases(self, data: DatasetObject, part: Part) -> Cases:
        return Cases(data.tensors[f"{part}_x"], data.tensors[f"{part}_y"])

    def _sliced(self, cases: Cases) -> bool:
        """Whether slices of volumes go through a net, and not the cases themselves."""
        return cases.y.dim() - 1 > self.nets.dimensions

    def examples(self, data: DatasetObject, part: Part) -> int:
        cases = self.cases(data, part)
        return cases.y.shape[:2].numel() if self._sliced(cases) else len(cases.y)

    def batch(self, data: DatasetObject, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        x, y = cases = self.cases(data, "train")
        if not self._sliced(cases):
            return x[indices], y[indices]
        case, place = indices // y.shape[1], indices % y.shape[1]
        return x[case, :, place], y[case, place]

    def build(self, data: DatasetObject, generator: torch.Generator) -> nn.Module:
        return ResidualUNet(self.nets, self.spec.net)

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        x, y = batch
        return dice_loss(model(x), y, self.options.smooth).sum()

    def probabilities(self, model: nn.Module, data: DatasetObject, part: Part, batch: int, pause: Pause) -> Tensor:
        """Of each class at each voxel, (cases, classes, *edges), whether the net takes volumes or their slices."""
        found, cases = [], self.cases(data, part)
        sliced = self._sliced(cases)
        for x in (cases.x.transpose(1, 2).flatten(0, 1) if sliced else cases.x).split(batch):
            found.append(model(x).softmax(1))
            pause()
        together = torch.cat(found)
        return together.unflatten(0, cases.y.shape[:2]).transpose(1, 2) if sliced else together

    def evaluate(self, model: nn.Module, data: DatasetObject, part: Part, batch: int, pause: Pause) -> dict[str, float]:
        named = self.probabilities(model, data, part, batch, pause).argmax(1)
        return {"dice": dice(named, self.cases(data, part).y, self.nets.options.classes)}
