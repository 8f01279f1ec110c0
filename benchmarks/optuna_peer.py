"""The same space as Optuna's own users would write it: a define-by-run objective, one parameter for each decision.

A parameter's name carries its choices, because Optuna wants the choices of a name never to change, and here they depend
on what came before: kernels must fit, no pooling follows a pooling, and so on. So every suggestion is legal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeVar

from optuna.trial import Trial

from metaqnn_trainer.spaces.cnn.layer import Layer
from metaqnn_trainer.spaces.cnn.layers.conv import Conv
from metaqnn_trainer.spaces.cnn.layers.fully_connected import FC
from metaqnn_trainer.spaces.cnn.layers.max_pool import Pool
from metaqnn_trainer.spaces.cnn.space import Cnn, State

T = TypeVar("T", str, int)


def suggest_net(trial: Trial, space: Cnn) -> str:
    """A net of the space, layer by layer."""
    decisions: list[Layer] = []
    state: State | None = space.start
    while state is not None:
        layer = _suggest_layer(trial, len(decisions), space.legal(state))
        decisions.append(layer)
        state = space.step(state, layer)
    return space.text(decisions)


def _suggest_layer(trial: Trial, depth: int, legal: Sequence[Layer]) -> Layer:
    kinds = defaultdict(list)
    for layer in legal:
        kinds[type(layer).__name__].append(layer)
    kind = _choose(trial, f"{depth} kind", list(kinds))
    layers = kinds[kind]
    convolutions = [layer for layer in layers if isinstance(layer, Conv)]
    if convolutions:
        filters = _choose(trial, f"{depth} filters", sorted({layer.filters for layer in convolutions}))
        kernel = _choose(trial, f"{depth} kernel", sorted({layer.kernel for layer in convolutions}))
        return next(layer for layer in convolutions if (layer.filters, layer.kernel) == (filters, kernel))
    if isinstance(layers[0], Pool | FC) and len(layers) > 1:
        chosen = _choose(trial, f"{depth} {kind}", [str(layer) for layer in layers])
        return next(layer for layer in layers if str(layer) == chosen)
    return layers[0]


def _choose(trial: Trial, name: str, choices: list[T]) -> T:
    if len(choices) == 1:
        return choices[0]
    return trial.suggest_categorical(f"{name} of {' '.join(map(str, choices))}", choices)
