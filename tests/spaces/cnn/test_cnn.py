"""The space of nets beyond the paper's: kinds that are off until a setting turns them on, neighbours, measures."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaqnn_orch.search.agent import Agent
from metaqnn_orch.search.q_table import QTable
from metaqnn_orch.settings.values import parse_settings
from metaqnn_trainer.contract.dataset import DatasetInfo
from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import IllegalDesign
from metaqnn_trainer.spaces.cnn.layer import StateKey
from metaqnn_trainer.spaces.cnn.layers.average_pool import AveragePoolingRules
from metaqnn_trainer.spaces.cnn.layers.batch_norm import BatchNormalisationRules
from metaqnn_trainer.spaces.cnn.layers.conv import ConvolutionRules
from metaqnn_trainer.spaces.cnn.layers.depthwise_separable import DepthwiseSeparableRules
from metaqnn_trainer.spaces.cnn.layers.fully_connected import FullyConnectedRules
from metaqnn_trainer.spaces.cnn.layers.max_pool import PoolingRules
from metaqnn_trainer.spaces.cnn.layers.residual import ResidualRules
from metaqnn_trainer.spaces.cnn.notation import format_net, parse_net
from metaqnn_trainer.spaces.cnn.rules import SpaceRules
from metaqnn_trainer.spaces.cnn.space import Cnn
from tests.search.spaces import SVHN, TINY, at

ALL = SpaceRules(
    image_size=16,
    channels=3,
    classes=10,
    max_layers=6,
    convolution=ConvolutionRules(filters=(8,), kernels=(3,)),
    pooling=PoolingRules(shapes=((2, 2),)),
    fully_connected=FullyConnectedRules(units=(16,)),
    average_pooling=AveragePoolingRules(shapes=((3, 2),)),
    batch_normalisation=BatchNormalisationRules(offered=True),
    depthwise_separable=DepthwiseSeparableRules(filters=(8, 16), kernels=(3,)),
    residual=ResidualRules(filters=(8,), strides=(1, 2)),
)
SPACE = Cnn(ALL)
SEPARABLE = ["DSC(8,3,1)", "DSC(16,3,1)"]
BLOCKS = ["RES(8,3,1)", "RES(8,3,2)"]
ENDS = ["GAP(10)", "SM(10)"]


@pytest.mark.parametrize(
    ("beginning", "following"),
    [
        ("", ["C(8,3,1)", *SEPARABLE, *BLOCKS, *ENDS]),
        ("C(8,3,1)", ["C(8,3,1)", "P(2,2)", "AP(3,2)", "BN()", *SEPARABLE, *BLOCKS, *ENDS]),
        ("RES(8,3,2)", ["C(8,3,1)", "P(2,2)", "AP(3,2)", "BN()", *SEPARABLE, *BLOCKS, *ENDS]),
        # Batch normalisation never twice in a row, and only behind a convolution; pooling only once in a row.
        ("DSC(8,3,1), BN()", ["C(8,3,1)", "P(2,2)", "AP(3,2)", *SEPARABLE, *BLOCKS, *ENDS]),
        ("C(8,3,1), AP(3,2)", ["C(8,3,1)", "FC(16)", *SEPARABLE, *BLOCKS, *ENDS]),
        ("C(8,3,1), AP(3,2), FC(16)", ["FC(16)", "SM(10)"]),
        (
            "C(8,3,1), P(2,2), RES(8,3,2)",
            ["C(8,3,1)", "P(2,2)", "FC(16)", "AP(3,2)", "BN()", *SEPARABLE, *BLOCKS, *ENDS],
        ),
    ],
)
def test_what_may_follow(beginning: str, following: list[str]) -> None:
    assert SPACE.following(beginning) == following


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        ("[BN(), SM(10)]", "layer 1, BN(): batch normalisation stands after a convolution"),
        ("[C(8,3,1), BN(), BN(), SM(10)]", "layer 3, BN(): batch normalisation stands after a convolution"),
        ("[AP(3,2), SM(10)]", "layer 1, AP(3,2): a net does not begin with pooling"),
        ("[C(8,3,1), P(2,2), AP(3,2), SM(10)]", "layer 3, AP(3,2): pooling may not follow pooling"),
        (
            "[RES(8,9,1), SM(10)]",
            "layer 1, RES(8,9,1): the kernel size must be smaller than 8, the lower bound of the bucket of size 16",
        ),
        ("[RES(7,3,1), SM(10)]", "layer 1, RES(7,3,1): this layer is not in the space"),
        ("[DSC(7,3,1), SM(10)]", "layer 1, DSC(7,3,1): this layer is not in the space"),
    ],
)
def test_what_may_not(net: str, reason: str) -> None:
    with pytest.raises(IllegalDesign) as caught:
        SPACE.walk(net)
    assert str(caught.value) == reason


def test_a_model_that_normalises_every_convolution_has_no_use_for_more() -> None:
    space = Cnn(ALL, ModelOptions(batch_norm=True))
    assert "BN()" not in space.following("C(8,3,1)")
    with pytest.raises(IllegalDesign, match=r"model\.batch_norm puts one after every convolution$"):
        space.walk("[C(8,3,1), BN(), SM(10)]")


def test_keys_say_the_kind_and_its_numbers() -> None:
    key = SPACE.key(at(SPACE, "C(8,3,1), AP(3,2), RES(8,3,2)"))
    assert key == StateKey("RES", 3, 8, 3, 2, 4, 0, 0)
    assert str(key) == "RES(3,8,3,2,4,0,0)"
    assert str(key._replace(further="dilation=2")) == "RES(3,8,3,2,4,0,0)+dilation=2"


def test_a_space_that_says_nothing_of_a_kind_is_recorded_as_before_there_was_one() -> None:
    values = {"dataset": {"name": "x"}, "space": {"image_size": 8, "channels": 1, "classes": 10}}
    recorded = parse_settings(values).identity()["space"]
    assert {"convolution", "pooling", "fully_connected"} <= recorded.keys()
    assert not {"average_pooling", "batch_normalisation", "depthwise_separable", "residual"} & recorded.keys()
    values["space"] |= {"batch_normalisation": {"offered": True}}  # type: ignore[operator]
    settings = parse_settings(values)
    assert settings.identity()["space"]["batch_normalisation"] == {"offered": True}
    assert parse_settings(settings.identity()).space == settings.space


def test_an_agent_samples_all_of_them() -> None:
    agent = Agent(SPACE, QTable())
    nets = [parse_net(agent.propose(1.0, Random(number))) for number in range(300)]
    assert {layer.name for net in nets for layer in net} == {"C", "P", "FC", "GAP", "SM", "AP", "BN", "DSC", "RES"}
    for net in nets[:20]:
        agent.learn(format_net(net), 0.5, Random(0))


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_limits_count_what_the_other_kinds_cost(seed: int) -> None:
    space = Cnn(replace(ALL, max_params=2_000, max_macs=300_000))
    net = Agent(space, QTable()).propose(1.0, Random(seed))
    assert space.cost(net).params <= 2_000
    assert space.cost(net).macs <= 300_000


def test_the_rules_in_words() -> None:
    words = dict(SPACE.words())
    assert words["batch normalisation"] == "after convolutions of any kind, never twice in a row"
    assert words["local average pooling"] == "AP(3,2); where pooling may stand"
    assert words["residual block"] == "8 filters; kernel sizes 3; strides 1, 2"
    assert words["depthwise-separable convolution"] == "8, 16 filters; kernel sizes 3; strides 1"
    assert "residual block" not in dict(Cnn(SVHN).words())


def test_all_neighbours_of_a_net() -> None:
    few = ConvolutionRules(filters=(4,), kernels=(1,))
    pools = PoolingRules(shapes=((3, 2), (2, 2)))
    space = Cnn(SpaceRules(image_size=9, channels=1, classes=3, max_layers=2, convolution=few, pooling=pools))
    assert list(space.neighbours("[C(4,1,1), SM(3)]")) == [
        "[C(4,1,1), C(4,1,1), SM(3)]",
        "[SM(3)]",
        "[C(4,1,1), GAP(3), SM(3)]",
        "[C(4,1,1), P(3,2), SM(3)]",
        "[C(4,1,1), P(2,2), SM(3)]",
    ]


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_neighbours_are_all_nets_that_are_one_layer_away(seed: int) -> None:
    """Against every net of the space: those with one layer more, one less, or another one."""
    space = Cnn(replace(TINY, max_layers=3))
    net = parse_net(Agent(space, QTable()).propose(1.0, Random(seed)))

    def every(beginning: str) -> list[str]:
        state = space.after(beginning)
        if state is None:
            return [space.canonical(beginning)]
        return [net for move in space.legal(state) for net in every(space.text([*space.parse(beginning), move]))]

    def is_near(other: str) -> bool:
        ours, theirs = space.parse(format_net(net)), space.parse(other)
        if len(ours) == len(theirs):
            return sum(one != two for one, two in zip(ours, theirs, strict=True)) == 1
        long, short = max(ours, theirs, key=len), min(ours, theirs, key=len)
        return len(long) == len(short) + 1 and any(long[:n] + long[n + 1 :] == short for n in range(len(long) - 1))

    found = list(space.neighbours(format_net(net)))
    assert sorted(found) == sorted({other for other in every("") if is_near(other)})


def test_what_is_measured_before_training() -> None:
    measures = Cnn(replace(SVHN, image_size=8, channels=1)).measures("[C(4,3,1), SM(10)]")
    params, macs = 4 * 9 + 4 + 256 * 10 + 10, 4 * 9 * 64 + 2560
    # Into and out of each layer, and the weights: 64 pixels, 256 numbers twice, 10 logits.
    moved = 4 * (params + 64 + 256 + 256 + 10)
    assert measures == {"params": params, "macs": macs, "bytes": moved, "macs_per_byte": macs / moved}


def test_a_dataset_that_is_another() -> None:
    info = DatasetInfo(name="x", channels=1, classes=10, train=1, validation=1, test=0, source="none")
    assert Cnn(SVHN).mismatches(info) == {"space.channels": (3, 1)}
