"""Regression on a table: the squared error is minimised, and the reward is the explained share of the variance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metaqnn_regression.space import Wired
from metaqnn_trainer.errors import DatasetError, RequestError
from metaqnn_trainer.reading import DatasetObject, Reader
from metaqnn_trainer.tasks.base import Part, Pause, Task

ACTIVATIONS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "linear": nn.Identity(),
}


class WiredNet(nn.Module):
    """A design of the wired space. Its weights belong to the genes, and have the same shape for all designs of a
    space: so a child takes over all weights of its parent, also of nodes that nothing reads yet.
    """

    def __init__(self, space: Wired, design: str, generator: torch.Generator) -> None:
        super().__init__()
        graph = space.graph(design)
        self.nodes = [
            (node, ACTIVATIONS[graph[node].activation], *_wired(graph[node].wires)) for node in space.active(design)
        ]
        # He's deviation for as many wires as a node may have; He et al. 2015
        deviation = (2 / space.options.arity) ** 0.5
        self.weight = nn.Parameter(deviation * torch.randn(len(graph), space.options.arity, generator=generator))
        self.bias = nn.Parameter(torch.zeros(len(graph)))
        self.inputs = int(space.options.inputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, columns) to (n)"""
        values = dict(enumerate(x.unbind(1)))
        for node, activation, places, wires in self.nodes:
            read = torch.stack([values[wire] for wire in wires], 1)
            values[self.inputs + node] = activation(read @ self.weight[node, places] + self.bias[node])
        return values[self.inputs + self.nodes[-1][0]]


def _wired(wires: tuple[int | None, ...]) -> tuple[list[int], list[int]]:
    """The places of a node that have wires, and what these read."""
    places = [place for place, wire in enumerate(wires) if wire is not None]
    return places, [wire for wire in wires if wire is not None]


class TableRegression(Task):
    """Errors are measured in standard deviations of the training targets."""

    measure = "r2"

    def load(self, read: Reader, device: torch.device) -> DatasetObject:
        data: DatasetObject = super().load(read, device)
        if "columns" not in data.info.facts:
            raise DatasetError(f"the dataset {data.info.name} is no table")
        if not self.examples(data, "validation"):
            raise DatasetError(
                f"the targets of {data.info.name} for validation do not vary: there is nothing to explain"
            )
        return data

    def examples(self, data: DatasetObject, part: Part) -> int:
        y = data.tensors[f"{part}_y"]
        return len(y) if part == "train" or (len(y) and y.var(correction=0) > 0) else 0

    def batch(self, data: DatasetObject, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        return data.tensors["train_x"][indices], data.tensors["train_y"][indices]

    def build(self, data: DatasetObject, generator: torch.Generator) -> nn.Module:
        if not isinstance(self.space, Wired):
            raise RequestError(f"the task {self.spec.task.name} trains designs of the family wired alone")
        return WiredNet(self.space, self.spec.net, generator)

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        return F.mse_loss(model(batch[0]), batch[1], reduction="sum")

    def evaluate(self, model: nn.Module, data: DatasetObject, part: Part, batch: int, pause: Pause) -> dict[str, float]:
        y, found = data.tensors[f"{part}_y"], []
        for x in data.tensors[f"{part}_x"].split(batch):
            found.append(model(x))
            pause()
        mse = F.mse_loss(torch.cat(found), y).item()
        return {"rmse": mse**0.5, "r2": 1 - mse / y.var(correction=0).item()}

    def reward(self, measures: dict[str, float]) -> float:
        return max(0.0, measures["r2"])
