"""Residual blocks."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from torch import Tensor, nn

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.modules.base import Parts, Written, activation, written
from metaqnn_trainer.modules.conv import SameConv2d
from metaqnn_trainer.spaces.cnn.layer import Layer, Shape
from metaqnn_trainer.spaces.cnn.layers.residual import Residual

_DEFINITION: Final = '''\
class Sum(nn.Module):
    """What two branches give, added."""

    def __init__(self, body, skip):
        super().__init__()
        self.body = body
        self.skip = skip

    def forward(self, x):
        return self.body(x) + self.skip(x)
'''


def build(layer: Residual, shape: Shape, options: ModelOptions, before: type[Layer] | None) -> Parts:
    between = layer.output(shape)
    body = [
        ("conv1", SameConv2d(shape.channels, layer.filters, layer.kernel, layer.stride, shape.size)),
        *_norm("norm1", layer, options),
        ("activation", activation(options)),
        ("conv2", SameConv2d(layer.filters, layer.filters, layer.kernel, 1, between.size)),
        *_norm("norm2", layer, options),
    ]
    skip = []
    if layer.projects(shape):
        projection = SameConv2d(shape.channels, layer.filters, 1, layer.stride, shape.size)
        skip = [("conv", projection), *_norm("norm", layer, options)]
    return [("block", Sum(OrderedDict(body), OrderedDict(skip))), ("activation", activation(options))]


def _norm(name: str, layer: Residual, options: ModelOptions) -> Parts:
    return [(name, nn.BatchNorm2d(layer.filters))] if options.batch_norm else []


class Sum(nn.Module):
    """The sum of two branches; an empty branch passes its input on."""

    def __init__(self, body: OrderedDict[str, nn.Module], skip: OrderedDict[str, nn.Module]) -> None:
        super().__init__()
        self.body = nn.Sequential(body)
        self.skip = nn.Sequential(skip)

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.body(x)
        total += self.skip(x)
        return total

    def written(self, name: str) -> Written:
        body, skip = (_sequence(branch) for branch in (self.body, self.skip))
        return Written([(name, f"Sum({body}, {skip})")], _DEFINITION)


def _sequence(branch: nn.Sequential) -> str:
    lines = [line for name, module in branch.named_children() for line in written(name, module).lines]
    modules = ", ".join(f'("{name}", {text})' for name, text in lines)
    return f"nn.Sequential(OrderedDict([{modules}]))" if lines else "nn.Identity()"
