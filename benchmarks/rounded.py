"""Training on a CPU with the products of a GPU's lower precisions. The trainer itself computes everything on a CPU in
single precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from metaqnn_trainer.contract.messages import Precision, TrialSpec
from metaqnn_trainer.images.dataset import Dataset
from metaqnn_trainer.tasks.base import Part, Pause, Task
from metaqnn_trainer.tasks.base import task_of as usual_task
from metaqnn_trainer.tasks.classification import Classification

_DROPPED: Final = 13  # of the 23 bits of a mantissa: TF32 has ten


def task_of(spec: TrialSpec, device: torch.device) -> Task:
    """The task of `spec`, so that it is trained on `device` in the precision of its recipe, whatever the device is."""
    return usual_task(spec, lambda name: _OnCpu) if device.type == "cpu" else usual_task(spec)


def products_in(precision: Precision) -> AbstractContextManager[Any]:
    """The context of a forward pass on a CPU in which convolutions and fully connected layers, and their gradients,
    multiply numbers of `precision`, and add up in single precision.
    """
    if precision == "bf16":
        return torch.autocast("cpu", torch.bfloat16)
    return _Tf32() if precision == "tf32" else nullcontext()


class _OnCpu(Classification):
    """Classification whose net computes in the recipe's precision on a CPU, too. The loss stays in single precision."""

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        images, labels = batch
        with products_in(self.spec.recipe.precision):
            logits = model(images)
        return F.cross_entropy(logits.float(), labels, reduction="sum")

    def evaluate(self, model: nn.Module, data: Dataset, part: Part, batch: int, pause: Pause) -> dict[str, float]:
        with products_in(self.spec.recipe.precision):
            return super().evaluate(model, data, part, batch, pause)


class _Tf32(TorchFunctionMode):
    """Rounds the operands of convolutions and fully connected layers to TF32, and those of their gradients: the inputs,
    the weights, and the gradient of the output. A bias is added in single precision.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if func not in (F.conv2d, F.linear):
            return func(*args, **named)
        images, weight, bias, *rest = args
        products = _RoundedGradient.apply(func(_Rounded.apply(images), _Rounded.apply(weight), None, *rest, **named))
        if bias is None:
            return products
        return products + (bias[:, None, None] if func is F.conv2d else bias)


class _Rounded(torch.autograd.Function):
    """Rounds a tensor, and leaves its gradient alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return in_tf32(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class _RoundedGradient(torch.autograd.Function):
    """Leaves a tensor alone, and rounds its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return in_tf32(gradient)


def in_tf32(x: Tensor) -> Tensor:
    """`x`, which is in single precision, rounded to the nearest numbers with a mantissa of ten bits, halves away from
    zero. Infinity and NaN stay what they are.
    """
    bits = x.view(torch.int32) + (1 << (_DROPPED - 1))
    return (bits & -(1 << _DROPPED)).view(torch.float32)
