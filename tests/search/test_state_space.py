from __future__ import annotations

import csv
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaqnn_trainer.spaces.base import IllegalDesign
from metaqnn_trainer.spaces.cnn.layer import Net, Shape, StateKey, describe
from metaqnn_trainer.spaces.cnn.layers.conv import Conv, ConvolutionRules
from metaqnn_trainer.spaces.cnn.layers.fully_connected import FC, FullyConnectedRules
from metaqnn_trainer.spaces.cnn.layers.gap import GAP
from metaqnn_trainer.spaces.cnn.layers.max_pool import Pool, PoolingRules
from metaqnn_trainer.spaces.cnn.layers.softmax import SM
from metaqnn_trainer.spaces.cnn.notation import format_net, parse_net
from metaqnn_trainer.spaces.cnn.rules import SpaceRules
from metaqnn_trainer.spaces.cnn.space import Cnn
from tests.search.spaces import CIFAR, SVHN, TABLE_A1, TINY, after, at, moves, sample
from tests.spaces.cnn.nets import nets

SPACE = Cnn(SVHN)
PAPER_REPLAY = Path(__file__).parents[3] / "shared" / "paper" / "replay_sample.csv"

ENDS = {"GAP(10)", "SM(10)"}
FCS = {"FC(512)", "FC(256)", "FC(128)"}
FILTERS = (64, 128, 256, 512)
CONVS_1 = {f"C({d},1,1)" for d in FILTERS}
CONVS_3 = {f"C({d},3,1)" for d in FILTERS}
CONVS_5 = {f"C({d},5,1)" for d in FILTERS}
POOLS = {"P(5,3)", "P(3,2)", "P(2,2)"}


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        # At the start: convolutions and terminations, no pooling and no fully connected layer first.
        ("", CONVS_1 | CONVS_3 | CONVS_5 | ENDS),
        # Size 32, bucket 8: everything but FC.
        ("C(64,3,1)", CONVS_1 | CONVS_3 | CONVS_5 | POOLS | ENDS),
        # Size 16, still bucket 8; no pool after a pool.
        ("C(64,3,1), P(2,2)", CONVS_1 | CONVS_3 | CONVS_5 | ENDS),
        # 32 -> 10 -> 3: bucket 1 allows neither convolution nor pooling.
        ("C(64,3,1), P(5,3), C(64,3,1), P(5,3)", FCS | ENDS),
        # 32 -> 10 -> 4, bucket 4: receptive fields below 4.
        ("C(64,3,1), P(5,3), C(64,3,1), P(3,2)", CONVS_1 | CONVS_3 | FCS | ENDS),
        ("C(64,3,1), P(5,3), C(64,3,1), P(3,2), C(64,1,1)", CONVS_1 | CONVS_3 | {"P(3,2)", "P(2,2)"} | FCS | ENDS),
        # 32 -> 15 -> 7, the largest size that a fully connected layer stands on, and 32 -> 16 -> 8, which is one more.
        ("C(64,3,1), P(3,2), C(64,3,1), P(3,2)", CONVS_1 | CONVS_3 | FCS | ENDS),
        ("C(64,3,1), P(2,2), C(64,3,1), P(2,2)", CONVS_1 | CONVS_3 | CONVS_5 | ENDS),
        # After one FC: no wider one, and no GAP, which would repeat SM. After two: the end.
        ("C(64,3,1), P(3,2), C(64,3,1), P(3,2), FC(512)", FCS | {"SM(10)"}),
        ("C(64,3,1), P(3,2), C(64,3,1), P(3,2), FC(256)", {"FC(256)", "FC(128)", "SM(10)"}),
        ("C(64,3,1), P(3,2), C(64,3,1), P(3,2), FC(128)", {"FC(128)", "SM(10)"}),
        ("C(64,3,1), P(3,2), C(64,3,1), P(3,2), FC(512), FC(512)", {"SM(10)"}),
        # At the depth limit, from whatever stands there.
        (", ".join(["C(64,3,1)"] * 11), CONVS_1 | CONVS_3 | CONVS_5 | POOLS | ENDS),
        (", ".join(["C(64,3,1)"] * 12), ENDS),
        (", ".join(["C(64,3,1)", "P(3,2)"] * 2 + ["C(64,3,1)"] * 7 + ["FC(512)"]), {"SM(10)"}),
        # A termination is followed by what it stands for.
        ("GAP(10)", {"SM(10)"}),
        ("C(64,3,1), GAP(10), SM(10)", set()),
        ("SM(10)", set()),
    ],
)
def test_legal_moves(prefix: str, expected: set[str]) -> None:
    assert moves(SPACE, prefix) == expected


def test_moves_stand_in_the_order_of_the_rules() -> None:
    layers = [str(layer) for layer in SPACE.legal(at(SPACE, "C(64,3,1)"))]
    assert layers == [f"C({d},{f},1)" for d in FILTERS for f in (1, 3, 5)] + [
        "P(5,3)",
        "P(3,2)",
        "P(2,2)",
        "GAP(10)",
        "SM(10)",
    ]


@pytest.mark.parametrize(
    ("size", "bucket"), [(1, 1), (2, 1), (3, 1), (4, 4), (5, 4), (7, 4), (8, 8), (9, 8), (32, 8), (4096, 8)]
)
def test_buckets(size: int, bucket: int) -> None:
    assert SVHN.bucket(size) == bucket
    assert TABLE_A1.bucket(size) == size


def test_transitions_follow_the_true_size_and_keys_carry_the_bucket() -> None:
    layers = ["C(64,5,1)", "P(3,2)", "C(128,3,1)", "P(3,2)", "FC(256)", "FC(128)"]
    states = [at(SPACE, ", ".join(layers[:depth])) for depth in range(len(layers) + 1)]
    assert [state.shape for state in states] == [
        Shape(3, 32),
        Shape(64, 32),
        Shape(64, 15),
        Shape(128, 15),
        Shape(128, 7),
        Shape(256, 1),
        Shape(128, 1),
    ]
    assert [state.key for state in states] == [
        StateKey("start", 0, 0, 0, 0, 8, 0, 0),
        StateKey("C", 1, 64, 5, 1, 8, 0, 0),
        StateKey("P", 2, 0, 3, 2, 8, 0, 0),
        StateKey("C", 3, 128, 3, 1, 8, 0, 0),
        StateKey("P", 4, 0, 3, 2, 4, 0, 0),
        StateKey("FC", 5, 0, 0, 0, 1, 256, 1),
        StateKey("FC", 6, 0, 0, 0, 1, 128, 2),
    ]
    assert str(states[1].key) == "C(1,64,5,1,8,0,0)"


def test_states_that_look_alike_share_a_key() -> None:
    # 32 -> 10 and 32 -> 15: one bucket, two sizes.
    one, other = at(SPACE, "C(64,5,1), P(5,3), C(64,3,1)"), at(SPACE, "C(512,1,1), P(3,2), C(64,3,1)")
    assert one.key == other.key
    assert one.shape != other.shape
    # 15 -> 6 allows a pool that 10 -> 3 does not.
    assert moves(SPACE, "C(64,5,1), P(5,3), C(64,3,1), P(5,3)") != moves(SPACE, "C(64,5,1), P(3,2), C(64,3,1), P(5,3)")


def test_a_termination_leads_nowhere() -> None:
    for layer in (GAP(10), SM(10)):
        assert SPACE.step(SPACE.start, layer) is None


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        ("[SM(100)]", "layer 1, SM(100): the space has 10 classes"),
        ("[GAP(2), SM(2)]", "layer 1, GAP(2): the space has 10 classes"),
        ("[P(2,2), SM(10)]", "layer 1, P(2,2): a net does not begin with pooling"),
        ("[FC(128), SM(10)]", "layer 1, FC(128): a net does not begin with a fully connected layer"),
        ("[C(64,3,1), P(2,2), P(2,2), SM(10)]", "layer 3, P(2,2): pooling may not follow pooling"),
        (
            "[C(64,3,1), FC(128), SM(10)]",
            "layer 2, FC(128): fully connected layers need an image size of at most 7, but here it is 32",
        ),
        ("[C(96,3,1), SM(10)]", "layer 1, C(96,3,1): this layer is not in the space"),
        ("[C(64,2,1), SM(10)]", "layer 1, C(64,2,1): this layer is not in the space"),
        ("[C(64,3,2), SM(10)]", "layer 1, C(64,3,2): this layer is not in the space"),
        ("[C(64,3,1), P(3,3), SM(10)]", "layer 2, P(3,3): this layer is not in the space"),
        (
            "[C(64,3,1), P(3,2), C(64,3,1), P(3,2), FC(100), SM(10)]",
            "layer 5, FC(100): this layer is not in the space",
        ),
        (
            "[C(64,8,1), SM(10)]",
            "layer 1, C(64,8,1): the kernel size must be smaller than 8, the lower bound of the bucket of size 32",
        ),
        (
            "[C(64,3,1), P(3,2), C(64,3,1), P(3,2), C(64,5,1), SM(10)]",
            "layer 5, C(64,5,1): the kernel size must be smaller than 4, the lower bound of the bucket of size 7",
        ),
        (
            "[C(64,3,1), P(3,2), C(64,3,1), P(3,2), FC(128), FC(256), SM(10)]",
            "layer 6, FC(256): a fully connected layer may not be wider than the one before it, 128",
        ),
        (
            "[C(64,3,1), P(3,2), C(64,3,1), P(3,2), FC(128), FC(128), FC(128), SM(10)]",
            "layer 7, FC(128): a net has at most 2 fully connected layers",
        ),
        (
            f"[{'C(64,3,1), ' * 13}SM(10)]",
            "layer 13, C(64,3,1): a net has at most 12 layers: only a termination may follow",
        ),
    ],
)
def test_objections_name_the_layer_and_the_rule(net: str, reason: str) -> None:
    with pytest.raises(IllegalDesign) as caught:
        SPACE.walk(net)
    assert str(caught.value) == reason


def test_objections_of_other_spaces() -> None:
    with pytest.raises(IllegalDesign, match=r"^layer 1, GAP\(10\): nets of this space do not end in GAP$"):
        Cnn(TABLE_A1).walk("[GAP(10), SM(10)]")
    with pytest.raises(IllegalDesign, match="must not be larger than the image, 28"):
        Cnn(TABLE_A1).walk("[C(60,29,1), SM(10)]")
    state = at(SPACE, "C(64,3,1), P(3,2), C(64,3,1), P(3,2), FC(128)")
    assert SPACE.objection(state, Conv(64, 3)) == (
        "only fully connected layers and terminations may follow a fully connected layer"
    )


@given(nets())
def test_a_walk_agrees_with_the_legal_moves(net: Net) -> None:
    """Whatever the net: the first layer that is not among the legal moves is the one that the walk objects to."""
    state = SPACE.start
    for number, layer in enumerate(net, 1):
        if layer not in SPACE.legal(state):
            with pytest.raises(IllegalDesign, match=f"^layer {number}, "):
                SPACE.walk(format_net(net))
            return
        following = SPACE.step(state, layer)
        if following is None:
            break
        state = following
    assert SPACE.walk(format_net(net))


@pytest.mark.parametrize("rules", [SVHN, CIFAR], ids=["svhn", "cifar"])
def test_sampled_nets_obey_the_paper(rules: SpaceRules) -> None:
    space = Cnn(rules)
    sampled = sample(space, 1000)
    for net in sampled:
        layers = [report.layer for report in describe(net, space.start.shape)]
        sizes = [rules.image_size, *(report.output.size for report in describe(net, space.start.shape))]
        body = [layer for layer in layers if not isinstance(layer, GAP | SM)]
        dense = [layer for layer in layers if isinstance(layer, FC)]
        assert len(body) <= rules.max_layers
        assert not isinstance(layers[0], Pool | FC)
        assert not any(isinstance(one, Pool) and isinstance(two, Pool) for one, two in pairwise(layers))
        assert len(dense) <= 2
        assert all(two.units <= one.units for one, two in pairwise(dense))
        assert body[len(body) - len(dense) :] == dense
        for layer, size in zip(layers, sizes, strict=False):
            if isinstance(layer, Conv | Pool):
                assert layer.kernel < rules.bucket(size)
            if isinstance(layer, FC):
                assert size <= 7
        decisions = space.walk(format_net(net))
        assert space.text([layer for _, layer in decisions]) == format_net(net)
        assert parse_net(format_net(net)) == net
    depths = {sum(not isinstance(layer, GAP | SM) for layer in net) for net in sampled}
    assert 0 in depths
    assert max(depths) >= 8
    assert {type(net[-2]) for net in sampled if len(net) > 1} == {Conv, Pool, FC, GAP}


def test_the_deepest_nets() -> None:
    assert SPACE.walk(f"[{'C(64,3,1), ' * 12}GAP(10), SM(10)]")
    deep = Cnn(
        SpaceRules(
            image_size=32,
            channels=3,
            classes=10,
            max_layers=100,
            convolution=ConvolutionRules(filters=(64,)),
            max_params=10**9,
        )
    )
    assert len(deep.walk(f"[{'C(64,1,1), ' * 100}GAP(10), SM(10)]")) == 101


@pytest.mark.skipif(not PAPER_REPLAY.exists(), reason="the authors' recorded nets are not here")
def test_the_authors_recorded_nets_are_legal() -> None:
    with PAPER_REPLAY.open(newline="") as file:
        recorded = [row["net"] for row in csv.DictReader(file)]
    assert len(recorded) == 300
    space = Cnn(replace(SVHN, gap_after_fc=True))
    for text in recorded:
        assert space.text([layer for _, layer in space.walk(text)]) == format_net(parse_net(text))


def test_table_a1s_log_spaced_moves() -> None:
    space = Cnn(TABLE_A1)
    # Fields 2, sqrt(2*28) = 7.5 and 28; strides 1, sqrt(f) and f.
    fields = {"2,1", "2,2", "7,1", "7,3", "7,7", "28,1", "28,5", "28,28"}
    convs = {f"C({d},{rest})" for d in (60, 120, 240) for rest in fields}
    dense = {f"FC({d})" for d in (1000, 500, 250, 100, 50, 10)}
    assert moves(space, "") == convs | {"SM(10)"}
    assert moves(space, "C(60,2,1)") == convs | {f"P({rest})" for rest in fields} | dense | {"SM(10)"}
    # 28 -> 1: nothing between 2 and 1.
    assert moves(space, "C(60,28,28)") == dense | {"SM(10)"}
    # Any number, any size, never wider.
    assert moves(space, "C(60,28,28)" + ", FC(50)" * 9) == {"FC(50)", "FC(10)", "SM(10)"}
    assert moves(space, "C(60,28,28)" + ", FC(50)" * 14) == {"SM(10)"}


def test_table_a1_can_be_sampled() -> None:
    space = Cnn(TABLE_A1)
    sampled = sample(space, 500)
    assert all(space.walk(format_net(net)) and not any(isinstance(layer, GAP) for layer in net) for net in sampled)
    assert any(isinstance(layer, Conv) and layer.stride > 1 for net in sampled for layer in net)
    assert max(sum(isinstance(layer, FC) for layer in net) for net in sampled) > 2
    assert all(describe(net, space.start.shape)[-1].output == Shape(10, 1) for net in sampled)


def test_spaces_without_pooling_or_fully_connected_layers() -> None:
    rules = SpaceRules(
        image_size=8,
        channels=1,
        classes=10,
        pooling=PoolingRules(shapes=()),
        fully_connected=FullyConnectedRules(units=()),
        terminations=("SM",),
    )
    assert moves(Cnn(rules), "C(64,3,1)") == CONVS_1 | CONVS_3 | CONVS_5 | {"SM(10)"}


def test_a_wider_layer_where_the_rules_allow_it() -> None:
    rules = SpaceRules(
        image_size=4,
        channels=1,
        classes=10,
        kernel_limit="up_to_size",
        fully_connected=FullyConnectedRules(never_wider=False, max_layers=3),
    )
    space = Cnn(rules)
    assert moves(space, "C(64,3,1), FC(128), FC(512)") == FCS | {"SM(10)"}
    assert moves(space, "C(64,3,1), FC(128), FC(512), FC(128)") == {"SM(10)"}
    # Fields up to the size itself.
    assert moves(space, "C(64,3,1)") == CONVS_1 | CONVS_3 | {"P(3,2)", "P(2,2)"} | FCS | ENDS


@settings(max_examples=50)
@given(st.integers(0, 2**32))
def test_what_may_follow_leads_on(seed: int) -> None:
    """From the first layers of any net, each layer that may follow makes the first layers of another."""
    space = Cnn(TINY)
    (net,) = sample(space, 1, seed)
    for length in range(len(net) + 1):
        for layer in after(space, net[:length]):
            space.following(format_net((*net[:length], layer)))
