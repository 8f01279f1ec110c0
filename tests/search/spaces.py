"""State spaces for the tests of the search."""

from __future__ import annotations

from random import Random

from metaqnn_orch.search.agent import Agent
from metaqnn_orch.search.q_table import QTable
from metaqnn_orch.search.rules import ConvolutionRules, FullyConnectedRules, LogSpaced, PoolingRules, SpaceRules
from metaqnn_orch.search.state_space import State, StateSpace
from metaqnn_trainer.contract.layers import Net
from metaqnn_trainer.contract.notation import parse_net, parse_prefix

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


def at(space: StateSpace, prefix: str) -> State:
    """The state after the first layers of a net."""
    state = space.start
    for layer in parse_prefix(prefix):
        state = space.step(state, layer)
    return state


def moves(space: StateSpace, prefix: str) -> set[str]:
    """What may follow the first layers of a net, as text."""
    layers = [str(layer) for layer in space.after(parse_prefix(prefix))]
    assert len(set(layers)) == len(layers)
    return set(layers)


def sample(space: StateSpace, count: int, seed: int = 0) -> list[Net]:
    """Random nets of the space."""
    agent, rng = Agent(space, QTable()), Random(seed)
    return [parse_net(agent.propose(1.0, rng)) for _ in range(count)]
