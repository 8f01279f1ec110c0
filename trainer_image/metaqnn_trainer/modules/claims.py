"""Compares the modules of a layer with what its kind says of them. Built-in kinds are held to it by tests; an installed
kind is compared here, for what a wrong number would decide: which net is the best for its size, and what fits.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

from metaqnn_trainer.contract.errors import PluginError
from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.contract.text import amount, one_line
from metaqnn_trainer.errors import RequestError
from metaqnn_trainer.modules.base import builder_of
from metaqnn_trainer.plugins import Plugin
from metaqnn_trainer.spaces.cnn.layer import Layer, Net, Shape
from metaqnn_trainer.spaces.cnn.registry import registry

_EXAMPLES: Final = 2  # that are sent through the modules: batch normalisation takes no fewer


def check_claims(net: Net, shape: Shape, options: ModelOptions) -> None:
    """Check every layer of the net, for images of `shape`, whose kind is an installed one.

    Raises:
        PluginError: the builder of such a kind cannot be loaded, or returns no modules.
        RequestError: the modules have another number of parameters, or another output, than the kind says.
    """
    before: type[Layer] | None = None
    for layer in net:
        plugin, after = registry().sources.get(layer.name), layer.output(shape)
        if plugin is not None and plugin.distribution:
            claimed = layer.cost(shape, options, before).params
            # Weights are drawn from a generator of its own: the net that is trained must not depend on it.
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                modules = _built(plugin, builder_of(type(layer))(layer, shape, options, before), layer)
                _check_params(f"{plugin}: the module of {layer}", modules, shape, claimed)
                flat = before is not None and not before.pixels
                _check_output(f"{plugin}: the module of {layer}", modules, shape, after, flat=flat)
        shape, before = after, type(layer)


def _built(plugin: Plugin, parts: Any, layer: Layer) -> nn.Module:
    try:
        return nn.Sequential(*(module for _, module in parts))
    except (TypeError, ValueError):
        what = f"{one_line(repr(parts), 60)}, and no list of names and modules"
        raise PluginError(f"{plugin}: the builder of {layer} returned {what}") from None


def _check_params(words: str, modules: nn.Module, shape: Shape, claimed: int) -> None:
    found = sum(weights.numel() for weights in modules.parameters() if weights.requires_grad)
    if found != claimed:
        raise RequestError(f"{words} has {amount(found, 'parameter')} on {shape}, but its `cost` says {claimed:,}")


def _check_output(words: str, modules: nn.Module, shape: Shape, after: Shape, *, flat: bool) -> None:
    size = (shape.features,) if flat else (shape.channels, shape.size, shape.size)
    try:
        given = modules.eval()(torch.zeros(_EXAMPLES, *size))
    except Exception:  # what needs a GPU, or all of the net: training says whether it works
        return
    made = tuple(given.shape) if isinstance(given, Tensor) else ()
    if made not in ((_EXAMPLES, after.channels, after.size, after.size), (_EXAMPLES, after.features)):
        what = "x".join(map(str, made[1:])) or type(given).__name__
        raise RequestError(f"{words} makes {what} of {shape}, but its `output` says {after}")
