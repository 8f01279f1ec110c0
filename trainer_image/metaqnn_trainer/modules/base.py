"""The interface of a builder, the look-up of builders, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple, Protocol, runtime_checkable

from torch import nn

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.plugins import FUNCTION, Plugin
from metaqnn_trainer.spaces.cnn.layer import Layer, Shape
from metaqnn_trainer.spaces.cnn.registry import registry

Parts = list[tuple[str, nn.Module]]
"""Modules that run one after another, each with the end of its name: `conv` of `0_conv`."""
Builder = Callable[[Layer, Shape, ModelOptions, type[Layer] | None], Parts]
"""A function from a layer, the representation before it, the options and the kind of the layer before it to torch
modules. Images come as (n, channels, size, size), with channels last in memory; after a layer without pixels as (n,
features).
"""


class Written(NamedTuple):
    """The source code that adds a module to the network of an exported file."""

    lines: list[tuple[str, str]]
    """Names and expressions of modules that run one after another. The first expression with weights keeps the module's
    own name, so that the weights are loaded into it.
    """
    definition: str = ""
    """Source of a class that the expressions use, where torch has no such class; the class has a name of its own."""


@runtime_checkable
class Writable(Protocol):
    """A module that is not one of torch's own, and can write its own source code."""

    def written(self, name: str) -> Written:
        """The source code that adds the module under this name, with torch's own classes."""


@cache
def builder_of(kind: type[Layer]) -> Builder:
    """The builder of a layer kind.

    Raises:
        PluginError: it cannot be loaded, or is no function; the text names the kind.
    """
    plugin = Plugin("metaqnn.builders", kind.name, kind.builder, interface=FUNCTION)
    if (source := registry().sources.get(kind.name)) is not None:
        plugin = plugin._replace(distribution=source.distribution, version=source.version)
    builder: Builder = plugin.load()
    return builder


def activation(options: ModelOptions) -> nn.Module:
    return nn.ReLU(inplace=True) if options.activation == "relu" else nn.ELU(inplace=True)


def written(name: str, module: nn.Module) -> Written:
    """The source code that adds a module under this name, with torch's own classes.

    Raises:
        TypeError: it is none of torch's own, and does not say.
    """
    if isinstance(module, Writable):
        return module.written(name)
    if not type(module).__module__.startswith("torch.nn.") or next(module.children(), None) is not None:
        raise TypeError(f"{type(module).__name__} cannot be written out: it has no method `written`")
    return Written([(name, words_of(module))])


def words_of(module: nn.Module) -> str:
    """The expression that makes a module of torch's own class; for a subclass, the expression of torch's class below
    it.
    """
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
    return f"nn.{module!r}"  # the text form of torch's own modules is the expression that makes them


def _convolution(module: nn.Conv2d) -> str:
    numbers = f"{module.in_channels}, {module.out_channels}, {module.kernel_size[0]}"
    more = [("stride", module.stride[0]), ("padding", module.padding[0])]
    more += [("dilation", module.dilation[0])] if module.dilation[0] != 1 else []
    more += [("groups", module.groups)] if module.groups != 1 else []
    more += [("bias", False)] if module.bias is None else []
    return f"nn.Conv2d({numbers}, {', '.join(f'{name}={value}' for name, value in more)})"
