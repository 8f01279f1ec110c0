"""What a builder is, how it is found, and what several of them need."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple, Protocol, runtime_checkable

from torch import nn

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.plugins import Plugin
from metaqnn_trainer.spaces.cnn.layer import Layer, Shape

Parts = list[tuple[str, nn.Module]]
"""Modules that run one after another, each with the end of its name: `conv` of `0_conv`."""
Builder = Callable[[Layer, Shape, ModelOptions, type[Layer] | None], Parts]
"""A layer, the representation in front of it, the options and the kind before it, to modules. Images come as
(n, channels, size, size), with channels last in memory; after a layer without pixels as (n, features)."""


class Written(NamedTuple):
    """How a module is added to the network of an exported file."""

    lines: list[tuple[str, str]]
    """Names and expressions, of modules that run one after another. The first expression that has weights keeps the
    module's own name, so that they find their places."""
    definition: str = ""
    """Source of a class that the expressions use, for what torch has no word for; its name is its own."""


@runtime_checkable
class Writable(Protocol):
    """A module that is none of torch's own says how it is written."""

    def written(self, name: str) -> Written:
        """In torch's own words, under a name."""


@cache
def builder_of(kind: type[Layer]) -> Builder:
    """
    Raises:
        PluginError: it cannot be loaded; the text names the kind.
    """
    builder: Builder = Plugin("metaqnn.builders", kind.name, kind.builder).load()
    return builder


def activation(options: ModelOptions) -> nn.Module:
    return nn.ReLU(inplace=True) if options.activation == "relu" else nn.ELU(inplace=True)


def written(name: str, module: nn.Module) -> Written:
    """How to add a module under its name, in torch's own words.

    Raises:
        TypeError: it is none of torch's own, and does not say.
    """
    if isinstance(module, Writable):
        return module.written(name)
    if not type(module).__module__.startswith("torch.nn.") or next(module.children(), None) is not None:
        raise TypeError(f"{type(module).__name__} cannot be written out: it has no method `written`")
    return Written([(name, words_of(module))])


def words_of(module: nn.Module) -> str:
    """The expression that makes a module of torch's own, or what one of ours is but for what it adds."""
    match module:
        case nn.Conv2d():
            return _convolution(module)
        case nn.BatchNorm2d():
            return f"nn.BatchNorm2d({module.num_features})"
        case nn.MaxPool2d() | nn.AvgPool2d():
            return f"nn.{type(module).__name__}({module.kernel_size}, {module.stride})"
        case nn.Linear():
            return f"nn.Linear({module.in_features}, {module.out_features})"
        case nn.ReLU() | nn.ELU() | nn.Flatten():
            return f"nn.{type(module).__name__}()"
    return f"nn.{module!r}"  # which is how torch makes its own


def _convolution(module: nn.Conv2d) -> str:
    numbers = f"{module.in_channels}, {module.out_channels}, {module.kernel_size[0]}"
    more = [("stride", module.stride[0]), ("padding", module.padding[0])]
    more += [("dilation", module.dilation[0])] if module.dilation[0] != 1 else []
    more += [("groups", module.groups)] if module.groups != 1 else []
    more += [("bias", False)] if module.bias is None else []
    return f"nn.Conv2d({numbers}, {', '.join(f'{name}={value}' for name, value in more)})"
