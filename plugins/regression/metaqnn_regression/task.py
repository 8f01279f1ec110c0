"""Regression on a table: the squared error is minimised, and the reward is the explained share of the variance."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metaqnn_regression.space import Wired
from metaqnn_trainer.errors import DatasetError
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

    No node reads another one of its layer, so a layer is computed at once: its wires become one matrix of weights.
    """

    taken: Tensor
    put: Tensor
    order: Tensor

    def __init__(self, space: Wired, design: str, generator: torch.Generator) -> None:
        super().__init__()
        graph, rows, arity = space.graph(design), space.options.rows, space.options.arity
        order = sorted(space.active(design), key=lambda node: (node // rows, graph[node].activation))
        inputs = int(space.options.inputs)
        column = {**{read: read for read in range(inputs)}, **{inputs + n: inputs + at for at, n in enumerate(order)}}
        # He's deviation for as many wires as a node may have; He et al. 2015
        self.weight = nn.Parameter((2 / arity) ** 0.5 * torch.randn(len(graph), arity, generator=generator))
        self.bias = nn.Parameter(torch.zeros(len(graph)))
        self.shape = (inputs + len(order), len(order))  # of the matrix: all that may be read, and who reads it
        wires = [
            (node * arity + place, column[wire] * len(order) + at)
            for at, node in enumerate(order)
            for place, wire in enumerate(graph[node].wires)
            if wire is not None
        ]
        taken, put = zip(*wires, strict=True)
        for name, places in (("taken", taken), ("put", put), ("order", order)):
            self.register_buffer(name, torch.tensor(places), persistent=False)
        self.layers = [
            [(activation, len([*same])) for activation, same in groupby(layer, lambda node: graph[node].activation)]
            for _, layer in groupby(order, lambda node: node // rows)
        ]

    def forward(self, x: Tensor) -> Tensor:
        """(n, columns) to (n)"""
        matrix = self.weight.new_zeros(self.shape).view(-1)
        matrix = matrix.index_add(0, self.put, self.weight.view(-1)[self.taken]).view(self.shape)
        bias, values, begin = self.bias[self.order], x, 0
        for layer in self.layers:
            end = begin + sum(size for _, size in layer)
            sums = torch.addmm(bias[begin:end], values, matrix[: values.shape[1], begin:end])
            parts = zip(layer, sums.split([size for _, size in layer], 1), strict=True)
            values = torch.cat([values, *(ACTIVATIONS[name](part) for (name, _), part in parts)], 1)
            begin = end
        return values[:, -1]


class TableRegression(Task):
    """Errors are measured in standard deviations of the training targets."""

    measure, measures, families = "r2", ("rmse", "r2"), ("wired",)

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
        assert isinstance(self.space, Wired)
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
