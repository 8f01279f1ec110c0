"""Layers that run together on a GPU, where numbers of the size of an image take longer to read and write than to
compute.

Torch computes a convolution, its bias and its ReLU in three passes, and the gradient of the bias in a fourth that uses
a small part of the device. Here cuDNN does the first three in one, and a matrix product does the fourth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metaqnn_trainer.modules.conv import SameConv2d

Run = Callable[[Tensor], Tensor]
_ALIGNED: Final = 8  # channels of an image in bfloat16 that matrix units read at once


class Stack(nn.Sequential):
    """Modules that run one after another, on a GPU several of them at once: convolution and ReLU, or convolution, max
    pooling and ReLU. Parameters and results are those of the modules; on a GPU, sums are rounded in another order.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cuda":
            return self.one_by_one(x)
        for run in _fused(list(self)):
            x = run(x)
        return x

    def one_by_one(self, x: Tensor) -> Tensor:
        """What `forward` computes, module by module."""
        for module in self:
            x = module(x)
        return x


def _fused(modules: Sequence[nn.Module]) -> list[Run]:
    """The same modules as fewer functions."""
    runs: list[Run] = []
    left = list(modules)
    while left:
        match left:
            case [SameConv2d(bias=Tensor(), groups=1) as conv, nn.ReLU(), *left]:
                runs.append(partial(_with_relu, conv))
            case [SameConv2d(bias=Tensor(), groups=1) as conv, nn.MaxPool2d() as pool, nn.ReLU(), *left]:
                runs.append(partial(_with_pool, conv, pool))
            case [module, *left]:
                runs.append(module)
    return runs


def _with_relu(conv: SameConv2d, x: Tensor) -> Tensor:
    x, weight, bias = _inputs(conv, x)
    if conv.at_once and not _slow_at_once(weight):
        try:
            found: Tensor = _ConvolutionReLU.apply(x, weight, bias, conv.stride, conv.padding)
            return found
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            conv.at_once = False  # this device, or its cuDNN, has no kernel for both
    return _bias_relu(F.conv2d(x, weight, None, conv.stride, conv.padding), bias)


def _with_pool(conv: SameConv2d, pool: nn.MaxPool2d, x: Tensor) -> Tensor:
    """The bias is added behind the pooling, where there are fewer numbers: it is the same for a whole map, and adding
    keeps the order of numbers.
    """
    x, weight, bias = _inputs(conv, x)
    return _bias_relu(pool(F.conv2d(x, weight, None, conv.stride, conv.padding)), bias)


def _slow_at_once(weight: Tensor) -> bool:
    """Whether cuDNN chooses a kernel for convolution and ReLU at once that is slower than both apart. So it was on an
    H200 for these weights, by up to 16 % in bfloat16 and 54 % in single precision; for the other layers of the paper's
    space it was 4 to 460 % faster.
    """
    filters, channels, kernel = weight.shape[:3]
    return kernel >= 5 and filters <= 256 and (channels >= 512 or (filters <= 64 and weight.dtype == torch.float32))


def _inputs(conv: SameConv2d, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The convolution's input, weight and bias, in the type of autocast."""
    weight, bias = conv.weight, conv.bias
    assert bias is not None
    if torch.is_autocast_enabled("cuda"):
        low = torch.get_autocast_dtype("cuda")
        x, weight, bias = x.to(low), weight.to(low), bias.to(low)
        missing = -x.shape[1] % _ALIGNED
        if missing:  # the first convolution; channels of zeros change no sum
            x, weight = (F.pad(tensor, (0, 0, 0, 0, 0, missing)) for tensor in (x, weight))
    if conv.uneven:
        x = F.pad(x, conv.uneven)
    return x, weight, bias


class _ConvolutionReLU(torch.autograd.Function):
    """relu(x * weight + bias), for x (n, channels, size, size)."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: Any, padding: Any) -> Tensor:
        found: Tensor = torch.cudnn_convolution_relu(x, weight, bias, stride, padding, (1, 1), 1)
        context.save_for_backward(x, weight, found)
        context.geometry = stride, padding
        return found

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, found = context.saved_tensors
        stride, padding = context.geometry
        gradient = torch.ops.aten.threshold_backward(gradients[0], found, 0)
        wanted = [context.needs_input_grad[0], True, False]
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(
            gradient, x, weight, None, stride, padding, (1, 1), False, (0, 0), 1, wanted
        )
        return of_x, of_weight, _sum_of_maps(gradient), None, None


class _BiasReLU(torch.autograd.Function):
    """relu(x + bias), for x (n, channels, size, size)."""

    @staticmethod
    def forward(context: Any, x: Tensor, bias: Tensor) -> Tensor:
        found = (x + bias[:, None, None]).relu_()
        context.save_for_backward(found)
        return found

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        gradient = torch.ops.aten.threshold_backward(gradients[0], *context.saved_tensors, 0)
        return gradient, _sum_of_maps(gradient)


def _bias_relu(x: Tensor, bias: Tensor) -> Tensor:
    found: Tensor = _BiasReLU.apply(x, bias)
    return found


def _sum_of_maps(x: Tensor) -> Tensor:
    """The sums (channels) of maps (n, channels, size, size)."""
    rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    return (rows.new_ones(1, len(rows)) @ rows)[0]
