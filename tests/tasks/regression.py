"""A made-up task in one file: numbers from numbers, by a net of the given widths."""

from io import BytesIO
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from metaqnn_trainer.tasks.base import Part, Pause, Task


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    noise: float = 0.0  # deviation, added to the training examples


class Regression(Task):
    Options = Options

    def examples(self, data: Any, part: Part) -> int:
        return len(data.tensors[f"{part}_y"])

    def batch(self, data: Any, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        x = data.tensors["train_x"][indices]
        noise = torch.randn(x.shape, generator=generator).to(x.device)
        return x + self.options.noise * noise, data.tensors["train_y"][indices]

    def build(self, data: Any, generator: torch.Generator) -> nn.Module:
        assert self.space is not None
        sizes = [data.tensors["train_x"].shape[1], *self.space.parse(self.spec.net), 1]
        layers = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.Dropout(0.1), nn.ReLU())]
        return nn.Sequential(*layers[:-2])

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        return F.mse_loss(model(batch[0])[:, 0], batch[1], reduction="sum")

    def evaluate(self, model: nn.Module, data: Any, part: Part, batch: int, pause: Pause) -> dict[str, float]:
        y, found = data.tensors[f"{part}_y"], []
        for x in data.tensors[f"{part}_x"].split(batch):
            found.append(model(x)[:, 0])
            pause()
        mse = F.mse_loss(torch.cat(found), y).item()
        return {"mse": mse, "r2": 1 - mse / max(y.var(correction=0).item(), 1e-9)}

    def reward(self, measures: dict[str, float]) -> float:
        return max(0.0, measures["r2"])

    def pictures(self, model: nn.Module, data: Any) -> dict[str, bytes]:
        Image.new("L", (4, 4), 255).save(file := BytesIO(), "png")
        return {"fit": file.getvalue()}


PLUGIN = Regression
