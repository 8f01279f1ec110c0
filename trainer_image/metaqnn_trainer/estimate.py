"""What training a net takes of its device's memory, from shapes alone. Pure; nothing here touches a tensor."""

from __future__ import annotations

from typing import Final, NamedTuple

from metaqnn_trainer.contract.layers import FC, GAP, SM, Conv, Layer, Net, Pool, Shape, describe, output_shape
from metaqnn_trainer.contract.messages import ModelOptions, Recipe, TrialSpec
from metaqnn_trainer.contract.notation import parse_net
from metaqnn_trainer.training.recipe import dropout_probabilities

_FLOAT: Final = 4  # bytes


class Memory(NamedTuple):
    """Bytes that are in use at once when training takes most. What a library needs for itself is not among them, so
    that training takes at least this much; nor is the dataset."""

    parameters: int
    gradients: int
    optimizer: int
    """Adam keeps two numbers for each parameter, SGD with momentum one."""
    activations: int
    """What the forward pass keeps for the backward pass, and the gradients on both sides of a layer. Evaluation is
    given no more images at once than fit into the same (see evaluation_batch)."""

    @property
    def total(self) -> int:
        return sum(self)


def training_memory(spec: TrialSpec, shape: Shape, batch: int) -> Memory:
    """What training `spec`'s net on images of `shape` takes, `batch` of them at once.

    Raises:
        ShapeError: a layer does not fit.
    """
    net, model, recipe = parse_net(spec.net), spec.model, spec.recipe
    reports = describe(net, shape, gap_head=model.gap_head, batch_norm=model.batch_norm)
    parameters = _FLOAT * sum(report.cost.params for report in reports)
    slots = 2 if recipe.optimizer == "adam" else 1 if recipe.momentum else 0
    training, _ = _activations(net, shape, model, recipe)
    return Memory(parameters, parameters, slots * parameters, training * batch)


def evaluation_batch(spec: TrialSpec, shape: Shape, batch: int, largest: int) -> int:
    """Images at once while evaluating, up to `largest`: as many as take no more memory than `batch` of them while
    training, which keeps what the backward pass needs.

    Raises:
        ShapeError: a layer does not fit.
    """
    training, evaluation = _activations(parse_net(spec.net), shape, spec.model, spec.recipe)
    return max(1, min(largest, batch * training // evaluation))


def _activations(net: Net, shape: Shape, model: ModelOptions, recipe: Recipe) -> tuple[int, int]:
    """Bytes an image while training, and while evaluating."""
    dropout = dropout_probabilities(net, recipe)
    kept = shape.features  # the normalised image
    training = evaluation = 0
    after_gap = False
    for index, layer in enumerate(net):
        out = output_shape(layer, shape)
        kept += _kept(layer, shape, out, model, after_gap=after_gap)
        # Gradients are never in place: an activation function's are of one size, and pooling gathers its own twice.
        widest = max(shape.features * (2 if isinstance(layer, Pool) else 1), out.features)
        training = max(training, kept + out.features + widest)
        evaluation = max(evaluation, out.features + max(shape.features, out.features if model.batch_norm else 0))
        if index in dropout:
            kept += out.features + out.features // _FLOAT  # a byte says whether a number was kept
            training = max(training, kept + 2 * out.features)
        after_gap = isinstance(layer, GAP)
        shape = out
    return _FLOAT * training, _FLOAT * evaluation


def _kept(layer: Layer, before: Shape, after: Shape, model: ModelOptions, *, after_gap: bool) -> int:
    """Numbers that a layer keeps of an image until its backward pass. Activation functions work in place."""
    flattened = before.features if before.size > 1 else 0  # a copy, the channels being last in memory
    match layer:
        case Conv():
            return after.features * (2 if model.batch_norm else 1)
        case Pool():
            return 3 * after.features  # an index has 64 bits
        case FC():
            return flattened + after.features
        case GAP(classes):
            return classes * before.size**2 + classes
        case SM(classes):
            if after_gap and model.gap_head == "paper":
                return classes
            return flattened + 2 * classes  # logits and their softmax
