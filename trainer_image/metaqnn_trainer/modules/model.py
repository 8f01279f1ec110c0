"""Builds a torch module from a net's layers, with the weights that training starts from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.modules.base import Written, builder_of
from metaqnn_trainer.modules.fused import Stack
from metaqnn_trainer.spaces.cnn.layer import Layer, Net, Shape


def build_model(
    net: Net, shape: Shape, options: ModelOptions, dropout: Mapping[int, float], generator: torch.Generator
) -> nn.Sequential:
    """The network for images of `shape`, normalised: (n, channels, size, size) to logits (n, classes).

    The softmax is part of the loss. `dropout` gives the probability after the layer at an index of the net. Weights are
    Xavier uniform (Glorot and Bengio 2010) from `generator`, which must be the CPU's; biases are zero. A module's name
    has its layer's index and its part in the layer, so that saved weights can be assigned to layers.

    Raises:
        ShapeError: a layer does not fit.
        PluginError: the builder of a layer kind cannot be loaded.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    before: type[Layer] | None = None
    for index, layer in enumerate(net):
        after = layer.output(shape)
        for part, module in builder_of(type(layer))(layer, shape, options, before):
            modules[f"{index}_{part}"] = module
        if index in dropout:
            modules[f"{index}_dropout"] = Dropout(dropout[index])
        shape, before = after, type(layer)
    model = Stack(_pooled_first(modules))
    for module in model.modules():
        _initialise(module, generator)
    return model.to(memory_format=torch.channels_last)


def _pooled_first(modules: Mapping[str, nn.Module]) -> OrderedDict[str, nn.Module]:
    """The same modules, with each ReLU behind the max pooling that follows it. The result and its gradients have the
    same bits, for a ReLU keeps the order of numbers; it has several times fewer of them to compute.
    """
    parts = list(modules.items())
    for place, ((_, module), (_, after)) in enumerate(pairwise(parts)):
        if isinstance(module, nn.ReLU) and isinstance(after, nn.MaxPool2d):
            parts[place], parts[place + 1] = parts[place + 1], parts[place]
    return OrderedDict(parts)


def _initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Xavier uniform weights. The fan-in is the number of inputs of one output, the fan-out the number of outputs of
    one input.
    """
    if isinstance(module, nn.Conv2d) and module.groups > 1:
        fan_in, reached = module.weight[0].numel(), module.weight[:, 0].numel() // module.groups
        bound = (6 / (fan_in + reached)) ** 0.5
        nn.init.uniform_(module.weight, -bound, bound, generator=generator)
    elif isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight, generator=generator)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


class Dropout(nn.Module):
    """Zeroes each number with probability `p` while training, and scales the others by 1 / (1 - p).

    On a CPU torch draws one number for each element, which takes as long as a convolution; here one draw of 64 bits
    serves four, and `p` is rounded to a multiple of 2 ** -16.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def extra_repr(self) -> str:
        return f"p={self.p}"

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        kept = draws[: x.numel()].as_strided(x.shape, x.stride()) >= round(self.p * 2**16) - 2**15
        return x * kept * (1 / (1 - self.p)) if self.p < 1 else x * 0

    def written(self, name: str) -> Written:
        return Written([])  # dropout does nothing after training
