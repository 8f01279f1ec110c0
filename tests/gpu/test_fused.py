"""Layers that are computed at once have the results and gradients of the same layers one by one."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metaqnn_trainer.contract.messages import ModelOptions, Precision, Recipe
from metaqnn_trainer.modules.fused import Run, Stack
from metaqnn_trainer.modules.model import build_model
from metaqnn_trainer.spaces.cnn.layer import Shape
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.training.device import autocast, choose_kernels

NETS = [
    "[C(64,1,1), P(5,3), FC(128), SM(10)]",
    "[C(64,3,1), P(3,2), C(128,3,1), C(64,5,1), P(2,2), FC(256), SM(10)]",
    "[C(64,3,2), C(64,4,1), P(2,2), C(64,3,1), GAP(10), SM(10)]",
    "[C(512,3,1), C(64,5,1), C(512,1,1), C(256,5,1), P(2,2), SM(10)]",
    "[DSC(64,3,1), RES(64,3,1), C(64,3,1), BN(), P(2,2), AP(2,2), SM(10)]",
]


def gradients(model: nn.Module, images: Tensor, labels: Tensor, run: Run | None = None) -> list[Tensor]:
    """The gradients of the model's parameters, where `run` computes the model's output; by default it does itself."""
    model.zero_grad()
    F.cross_entropy((run or model)(images).float(), labels).backward()
    return [tensor.grad.double().cpu() for tensor in model.parameters() if tensor.grad is not None]


def error(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest relative error of a parameter's gradient."""
    return max(float((a - b).norm() / b.norm()) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("net", NETS)
def test_gradients_are_as_exact_as_one_by_one(gpu: torch.device, net: str, precision: Precision, channels: int) -> None:
    draws = torch.Generator().manual_seed(0)
    model = build_model(parse_net(net), Shape(channels, 16), ModelOptions(), {}, draws)
    images, labels = torch.randn(32, channels, 16, 16, generator=draws), torch.arange(32) % 10
    exact = gradients(deepcopy(model).double(), images.double(), labels)
    assert isinstance(model, Stack)
    model.to(gpu)
    images, labels = images.to(gpu, memory_format=torch.channels_last), labels.to(gpu)
    choose_kernels(Recipe(precision=precision))
    with autocast(gpu, precision):
        together = gradients(model, images, labels)
        again = gradients(model, images, labels)
        apart = gradients(model, images, labels, model.one_by_one)
    assert all(map(torch.equal, together, again))
    assert error(together, exact) < 1.5 * error(apart, exact) + 1e-6
