"""Estimates the memory that training a net needs on its device, from shapes alone. Pure; no function here touches a
tensor.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from metaqnn_trainer.contract.messages import ModelOptions, Recipe, TrialSpec
from metaqnn_trainer.spaces.cnn.layer import Layer, Net, Shape, describe, total_cost
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.training.recipe import dropout_probabilities

_FLOAT: Final = 4  # bytes


class Memory(NamedTuple):
    """Bytes that are in use at once when training needs most. The libraries' own memory is not included, so that
    training needs at least this much; neither is the dataset.
    """

    parameters: int
    gradients: int
    optimizer: int
    """Adam keeps two numbers for each parameter, SGD with momentum one."""
    activations: int
    """Values that the forward pass keeps for the backward pass, and the gradients on both sides of a layer. Evaluation
    uses no more images at once than fit into the same memory (see evaluation_batch).
    """

    @property
    def total(self) -> int:
        return sum(self)


def training_memory(spec: TrialSpec, shape: Shape, batch: int) -> Memory:
    """The memory that training `spec`'s net on images of `shape` needs, `batch` of them at once.

    Raises:
        ShapeError: a layer does not fit.
    """
    net, model, recipe = parse_net(spec.net), spec.model, spec.recipe
    parameters = _FLOAT * total_cost(describe(net, shape, model)).params
    slots = 2 if recipe.optimizer == "adam" else 1 if recipe.momentum else 0
    training, _ = _activations(net, shape, model, recipe)
    return Memory(parameters, parameters, slots * parameters, training * batch)


def evaluation_batch(spec: TrialSpec, shape: Shape, batch: int, largest: int) -> int:
    """Images at once in evaluation, up to `largest`: as many as need no more memory than `batch` of them in training,
    which keeps the values for the backward pass.

    Raises:
        ShapeError: a layer does not fit.
    """
    training, evaluation = _activations(parse_net(spec.net), shape, spec.model, spec.recipe)
    return max(1, min(largest, batch * training // evaluation))


def _activations(net: Net, shape: Shape, model: ModelOptions, recipe: Recipe) -> tuple[int, int]:
    """Bytes for each image in training, and in evaluation."""
    dropout = dropout_probabilities(net, recipe)
    kept = shape.features  # the normalised image
    training = evaluation = 0
    before: type[Layer] | None = None
    for index, layer in enumerate(net):
        out = layer.output(shape)
        kept += layer.kept(shape, model, before)
        # Gradients are never in place: those of an activation function have one size.
        training = max(training, kept + out.features + max(layer.backward(shape), out.features))
        evaluation = max(evaluation, layer.forward(shape, model))
        if index in dropout:
            # A byte says whether a value was kept. The output of dropout takes the place of its input.
            kept += out.features // _FLOAT + (out.features if layer.activated else 0)
            training = max(training, kept + out.features)
        shape, before = out, type(layer)
    return _FLOAT * training, _FLOAT * evaluation
