"""Segmentation: each voxel of an image or a volume is named. The reward is the Dice coefficient.

A dataset object holds `train_x` (cases, channels, *edges) float32 and `train_y` (cases, *edges) uint8, and the same for
`validation` and `test`. A space of two edges on volumes means that nets are trained on their slices along the first
axis; they are measured by whole volumes, so that nets of both kinds are comparable.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metaqnn_segmentation.space import ResidualUNets
from metaqnn_trainer.errors import RunFault
from metaqnn_trainer.reading import DatasetObject
from metaqnn_trainer.tasks.base import Part, Pause, Task

SMOOTH: Final = 1.0  # voxels added above and below in the Dice loss
ACTIVATIONS: Final[dict[str, type[nn.Module]]] = {"relu": nn.ReLU, "elu": nn.ELU, "leaky_relu": nn.LeakyReLU}


def layer(kind: str, dimensions: int, *arguments: Any, **more: Any) -> Any:
    """torch's layer of this kind for so many dimensions."""
    return getattr(nn, f"{kind}{dimensions}d")(*arguments, **more)


class Block(nn.Module):
    """Three convolutions, and what goes past them. Whole maps are dropped (Tompson et al. 2015)."""

    def __init__(self, dimensions: int, net: dict[str, Any], before: int, width: int) -> None:
        super().__init__()
        self.activation, layers = ACTIVATIONS[net["activation"]](), list[nn.Module]()
        for inputs, kernel in zip((before, width, width), (net["first"], net["second"], net["third"]), strict=True):
            layers.append(layer("Conv", dimensions, inputs, width, kernel, padding=kernel // 2, bias=False))
            layers += [layer("InstanceNorm", dimensions, width, affine=True), self.activation]
        self.convolutions = nn.Sequential(*layers[:-1], layer("Dropout", dimensions, net["dropout"]))
        self.past = layer("Conv", dimensions, before, width, 1) if before != width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.activation(self.convolutions(x) + self.past(x))
        return found


class ResidualUNet(nn.Module):
    """A design of the space: (n, channels, *edges) to logits (n, classes, *edges)."""

    def __init__(self, space: ResidualUNets, design: str) -> None:
        super().__init__()
        net, edges = space.net_of(design), space.dimensions
        widths = [net["filters"] << level for level in range(net["levels"])]
        self.concat = net["merge"] == "concat"
        self.encoder = nn.ModuleList(Block(edges, net, *pair) for pair in pairwise([space.options.channels, *widths]))
        self.pool = layer("MaxPool", edges, 2)
        self.up = nn.ModuleList(layer("ConvTranspose", edges, 2 * each, each, 2, stride=2) for each in widths[:-1])
        self.decoder = nn.ModuleList(Block(edges, net, each * (1 + self.concat), each) for each in widths[:-1])
        self.classes = layer("Conv", edges, widths[0], space.options.classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        passed: list[Tensor] = []
        for block in self.encoder:
            passed.append(block(self.pool(passed[-1]) if passed else x))
        x = passed.pop()
        for up, block in reversed([*zip(self.up, self.decoder, strict=True)]):
            x, beside = up(x), passed.pop()
            x = block(torch.cat([x, beside], 1) if self.concat else x + beside)
        found: Tensor = self.classes(x)
        return found


def dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """1 minus the softened Dice coefficient (Milletari et al. 2016), (n): the mean over all classes. A class that an
    example does not have costs little where the net does not name it.
    """
    found = logits.softmax(1).flatten(2)
    true = F.one_hot(labels.flatten(1).long(), logits.shape[1]).transpose(1, 2)
    shared, sizes = (found * true).sum(2), found.sum(2) + true.sum(2)
    return 1 - ((2 * shared + SMOOTH) / (sizes + SMOOTH)).mean(1)


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
    measure, measures, families = "dice", ("dice",), ("residual-unet",)
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
            raise RunFault(f"the space {self.spec.space.name} has no nets for the dataset {data.info.name}")
        return ResidualUNet(self.space, self.spec.net)

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        return dice_loss(model(batch[0]), batch[1]).sum()

    def probabilities(self, model: nn.Module, data: DatasetObject, part: Part, batch: int, pause: Pause) -> Tensor:
        """The probability of each class at each voxel (cases, classes, *edges); slices are put together as volumes."""
        found, x, y = [], data.tensors[f"{part}_x"], data.tensors[f"{part}_y"]
        for some in (x.transpose(1, 2).flatten(0, 1) if self._sliced(y) else x).split(batch):
            found.append(model(some).softmax(1))
            pause()
        together = torch.cat(found)
        return together.unflatten(0, y.shape[:2]).transpose(1, 2) if self._sliced(y) else together

    def evaluate(self, model: nn.Module, data: DatasetObject, part: Part, batch: int, pause: Pause) -> dict[str, float]:
        found = self.probabilities(model, data, part, batch, pause)
        return {"dice": dice(found.argmax(1), data.tensors[f"{part}_y"], found.shape[1])}
