"""Estimates the memory that training a net needs on its device, from shapes alone. Pure; no function here touches a
tensor.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Final, NamedTuple

from metaqnn_trainer.contract.messages import ModelOptions, Recipe, TrialSpec
from metaqnn_trainer.spaces.cnn.layer import Layer, Net, Shape, describe, total_cost
from metaqnn_trainer.spaces.cnn.layers.max_pool import Pool
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.training.recipe import dropout_probabilities

_FLOAT: Final = 4  # bytes


class Memory(NamedTuple):
    """Bytes that are in use at once when training needs most. The libraries' own memory is not included, so that
    training needs at least this much; neither is the dataset.
    """

    parameters: int
    optimizer: int
    """Adam keeps two numbers for each parameter, SGD with momentum one."""
    backward: int
    """Values that the forward pass keeps, gradients of activations and gradients of parameters, at the moment of the
    backward pass that has most of them. Evaluation uses no more images at once than fit into the same memory (see
    evaluation_batch).
    """

    @property
    def total(self) -> int:
        return sum(self)


def training_memory(spec: TrialSpec, shape: Shape, batch: int, width: int = _FLOAT) -> Memory:
    """The memory that training `spec`'s net on images of `shape` needs at least, `batch` of them at once. Activations
    have `width` bytes: 4, or 2 where they are computed in bfloat16.

    Raises:
        ShapeError: a layer does not fit.
    """
    net, model, recipe = parse_net(spec.net), spec.model, spec.recipe
    layers = describe(net, shape, model)
    parameters = _FLOAT * total_cost(layers).params
    slots = 2 if recipe.optimizer == "adam" else 1 if recipe.momentum else 0
    gradients = backward = parameters
    for layer, values in zip(layers, _in_training(net, shape, model, recipe), strict=True):
        gradients -= _FLOAT * layer.cost.params  # of the layers behind it
        backward = max(backward, gradients + width * values * batch)
    return Memory(parameters, slots * parameters, backward)


def evaluation_batch(spec: TrialSpec, shape: Shape, batch: int, largest: int) -> int:
    """Images at once in evaluation, up to `largest`: as many as need no more memory than `batch` of them in training,
    which keeps the values for the backward pass.

    Raises:
        ShapeError: a layer does not fit.
    """
    net = parse_net(spec.net)
    training, evaluation = max(_in_training(net, shape, spec.model, spec.recipe)), 0
    for layer in net:
        evaluation, shape = max(evaluation, layer.forward(shape, spec.model)), layer.output(shape)
    return max(1, min(largest, batch * training // evaluation))


def _in_training(net: Net, shape: Shape, model: ModelOptions, recipe: Recipe) -> Iterator[int]:
    """The most numbers for each image that exist at once in the backward pass of each layer."""
    dropout = dropout_probabilities(net, recipe)
    kept = image = shape.features  # the normalised image
    learns = False  # whether a layer so far has parameters: a gradient passes on to the next of them
    before: type[Layer] | None = None
    for index, (layer, after) in enumerate(zip_longest(net, net[1:])):
        out = layer.output(shape)
        passes, learns = learns, learns or layer.cost(shape, model, before).params > 0
        if not learns:  # no gradient comes this far, so that the layer keeps its output alone
            kept = image + out.features
            yield kept
            shape, before = out, type(layer)
            continue
        kept += layer.kept(shape, model, before)
        most = kept + (layer.backward(shape) if passes else 0)
        # An activation function has gradients on both sides before its output is freed. A ReLU is computed behind
        # the max pooling that follows it (see model.py).
        late = isinstance(after, Pool) and index not in dropout and model.activation == "relu"
        if (layer.activated and not late) or isinstance(layer, Pool):
            most = max(most, kept + 2 * out.features)
        if index in dropout:
            # A byte says whether a value was kept. The output of dropout takes the place of its input.
            kept += out.features // _FLOAT + (out.features if layer.activated else 0)
            most = max(most, kept + out.features)
        yield most
        shape, before = out, type(layer)
