"""State spaces for the tests of the search."""

from __future__ import annotations

from random import Random

from metaqnn_orch.search.agent import Agent
from metaqnn_orch.search.q_table import QTable
from metaqnn_trainer.spaces.cnn.choices import LogSpaced
from metaqnn_trainer.spaces.cnn.layer import Layer, Net
from metaqnn_trainer.spaces.cnn.layers.conv import ConvolutionRules
from metaqnn_trainer.spaces.cnn.layers.fully_connected import FullyConnectedRules
from metaqnn_trainer.spaces.cnn.layers.max_pool import PoolingRules
from metaqnn_trainer.spaces.cnn.notation import format_net, parse_net, parse_prefix
from metaqnn_trainer.spaces.cnn.rules import SpaceRules
from metaqnn_trainer.spaces.cnn.space import Cnn, State

SVHN = SpaceRules(image_size=32, channels=3, classes=10, max_layers=12)
CIFAR = SpaceRules(image_size=32, channels=3, classes=10, max_layers=18)

# Table A1: MNIST's own space.
TABLE_A1 = SpaceRules(
    image_size=28,
    channels=1,
    classes=10,
    max_layers=15,
    size_buckets=(),
    kernel_limit="up_to_size",
    convolution=ConvolutionRules(
        filters=(60, 120, 240), kernels=LogSpaced(log_spaced=3), strides=LogSpaced(log_spaced=3)
    ),
    pooling=PoolingRules(kernels=LogSpaced(log_spaced=3), strides=LogSpaced(log_spaced=3)),
    fully_connected=FullyConnectedRules(units=(1000, 500, 250, 100, 50, 10), max_layers=None, max_size=None),
    terminations=("SM",),
)

# Small enough to write all of its nets down.
TINY = SpaceRules(
    image_size=9,
    channels=1,
    classes=3,
    max_layers=4,
    convolution=ConvolutionRules(filters=(4, 16), kernels=(1, 3)),
    pooling=PoolingRules(shapes=((3, 2), (2, 2))),
    fully_connected=FullyConnectedRules(units=(8, 5), max_layers=2),
)


def at(space: Cnn, prefix: str) -> State:
    """The state after the first layers of a net."""
    state: State | None = space.start
    for layer in parse_prefix(prefix):
        assert state is not None
        state = space.step(state, layer)
    assert state is not None
    return state


def moves(space: Cnn, prefix: str) -> set[str]:
    """What may follow the first layers of a net, as text."""
    layers = space.following(prefix)
    assert len(set(layers)) == len(layers)
    return set(layers)


def after(space: Cnn, prefix: Net) -> list[Layer]:
    """What may follow the first layers of a net, as layers."""
    return [layer for text in space.following(format_net(prefix)) for layer in parse_prefix(text)]


def sample(space: Cnn, count: int, seed: int = 0) -> list[Net]:
    """Random nets of the space."""
    agent, rng = Agent(space, QTable()), Random(seed)
    return [parse_net(agent.propose(1.0, rng)) for _ in range(count)]
