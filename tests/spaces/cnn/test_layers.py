from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_trainer.contract.errors import ShapeError
from metaqnn_trainer.contract.messages import GapHead, ModelOptions
from metaqnn_trainer.spaces.base import Cost
from metaqnn_trainer.spaces.cnn.layer import Layer, Net, Shape, describe, total_cost
from metaqnn_trainer.spaces.cnn.layers.conv import Conv
from metaqnn_trainer.spaces.cnn.layers.fully_connected import FC
from metaqnn_trainer.spaces.cnn.layers.gap import GAP
from metaqnn_trainer.spaces.cnn.layers.max_pool import Pool
from metaqnn_trainer.spaces.cnn.layers.softmax import SM
from metaqnn_trainer.spaces.cnn.notation import parse_net


@pytest.mark.parametrize(
    ("layer", "before", "after"),
    [
        (Conv(64, 5, 1), Shape(3, 32), Shape(64, 32)),
        (Conv(64, 5, 1), Shape(3, 1), Shape(64, 1)),
        (Conv(60, 7, 3), Shape(1, 28), Shape(60, 10)),
        (Conv(60, 7, 7), Shape(1, 28), Shape(60, 4)),
        (Conv(60, 7, 8), Shape(1, 28), Shape(60, 4)),
        (Pool(5, 3), Shape(64, 32), Shape(64, 10)),
        (Pool(3, 2), Shape(64, 32), Shape(64, 15)),
        (Pool(2, 2), Shape(64, 32), Shape(64, 16)),
        (Pool(2, 2), Shape(64, 7), Shape(64, 3)),
        (Pool(2, 2), Shape(64, 2), Shape(64, 1)),
        (Pool(5, 3), Shape(64, 5), Shape(64, 1)),
        (Pool(5, 3), Shape(64, 7), Shape(64, 1)),
        (Pool(5, 3), Shape(64, 8), Shape(64, 2)),
        (FC(128), Shape(64, 4), Shape(128, 1)),
        (GAP(10), Shape(64, 4), Shape(10, 1)),
        (SM(10), Shape(64, 4), Shape(10, 1)),
    ],
)
def test_shapes(layer: Layer, before: Shape, after: Shape) -> None:
    assert layer.output(before) == after


def test_a_pool_that_does_not_fit_is_named() -> None:
    with pytest.raises(ShapeError, match=r"^P\(3,2\) does not fit an image of size 2$"):
        Pool(3, 2).output(Shape(64, 2))
    with pytest.raises(ShapeError, match=r"^P\(3,2\) does not fit"):
        describe([Pool(2, 2), Pool(3, 2), SM(10)], Shape(1, 4))


@pytest.mark.parametrize(
    ("layer", "before", "cost"),
    [
        # 64 filters of 3*5*5, and a bias each; every weight is used at 32*32 places.
        (Conv(64, 5, 1), Shape(3, 32), Cost(4_864, 4_915_200)),
        # 60 filters of 7*7, used at 10*10 places.
        (Conv(60, 7, 3), Shape(1, 28), Cost(3_000, 294_000)),
        (Pool(2, 2), Shape(64, 32), Cost(0, 0)),
        # 64*4*4 = 1,024 numbers to 128 neurons.
        (FC(128), Shape(64, 4), Cost(131_200, 131_072)),
        # A 1x1 convolution of 64 maps to 10, at 4*4 places.
        (GAP(10), Shape(64, 4), Cost(650, 10_240)),
        (SM(10), Shape(64, 4), Cost(10_250, 10_240)),
        (SM(10), Shape(128, 1), Cost(1_290, 1_280)),
    ],
)
@pytest.mark.parametrize("gap_head", ["paper", "code"])
def test_costs(layer: Layer, before: Shape, cost: Cost, gap_head: GapHead) -> None:
    assert layer.cost(before, ModelOptions(gap_head=gap_head)) == cost


def test_batch_normalisation_scales_and_shifts_every_map_of_a_convolution() -> None:
    plain, normed = (
        describe([Conv(64, 3), FC(10), GAP(10), SM(10)], Shape(3, 8), ModelOptions(batch_norm=normed))
        for normed in (False, True)
    )
    assert total_cost(normed) == total_cost(plain) + Cost(2 * 64, 0)


def test_the_two_heads_of_global_average_pooling() -> None:
    net = (GAP(10), SM(10))
    paper = describe(net, Shape(64, 4), ModelOptions(gap_head="paper"))
    code = describe(net, Shape(64, 4), ModelOptions(gap_head="code"))
    assert [report.cost for report in paper] == [Cost(650, 10_240), Cost(0, 0)]
    assert [report.cost for report in code] == [Cost(650, 10_240), Cost(110, 100)]
    assert [report.output for report in paper] == [report.output for report in code] == [Shape(10, 1)] * 2


def test_a_whole_net_by_hand() -> None:
    net = parse_net("[C(16,3,1), P(2,2), FC(32), SM(10)]")
    reports = describe(net, Shape(1, 8))
    assert [str(report.output) for report in reports] == ["16x8x8", "16x4x4", "32x1x1", "10x1x1"]
    assert [report.layer for report in reports] == list(net)
    # (9+1)*16, none, (256+1)*32, (32+1)*10; 144*64, none, 256*32, 32*10
    assert [report.cost.params for report in reports] == [160, 0, 8_224, 330]
    assert [report.cost.macs for report in reports] == [9_216, 0, 8_192, 320]
    assert total_cost(reports) == Cost(8_714, 17_728)
    assert total_cost([]) == Cost(0, 0)


def params_as_published(net: Net, shape: Shape) -> int:
    """The parameters of a net where pooling leaves floor((n - f + 1) / l), as the published counts have it."""
    params = 0
    for layer in net:
        params += layer.cost(shape, ModelOptions()).params
        if isinstance(layer, Pool):
            shape = Shape(shape.channels, (shape.size - layer.kernel + 1) // layer.stride)
        else:
            shape = layer.output(shape)
    return params


@pytest.mark.parametrize(
    ("net", "millions"),
    [
        ("[C(512,5,1), C(256,3,1), C(256,5,1), C(256,3,1), P(5,3), C(512,3,1), C(512,5,1), P(2,2), SM(10)]", 11.26),
        (
            "[C(128,1,1), C(512,3,1), C(64,1,1), C(128,3,1), P(2,2), C(256,3,1), P(2,2), C(512,3,1), P(3,2), SM(10)]",
            2.2,
        ),
        ("[C(128,3,1), C(128,1,1), C(512,5,1), P(2,2), C(128,3,1), P(2,2), C(64,3,1), C(64,5,1), SM(10)]", 2.46),
        ("[C(256,3,1), C(256,3,1), P(5,3), C(256,1,1), C(128,3,1), P(2,2), C(128,3,1), SM(10)]", 1.13),
        ("[C(64,3,1), C(128,3,1), P(5,3), C(256,3,1), P(3,2), FC(512), FC(128), SM(10)]", 1.62),
    ],
)
def test_the_parameter_counts_of_table_a2(net: str, millions: float) -> None:
    assert params_as_published(parse_net(net), Shape(3, 32)) == pytest.approx(millions * 1e6, rel=0.015)


def test_the_search_counts_every_whole_window_of_a_pool() -> None:
    net = parse_net("[C(64,3,1), C(128,3,1), P(5,3), C(256,3,1), P(3,2), FC(512), FC(128), SM(10)]")
    # 32 -> 10 -> 4, where the published count has 32 -> 9 -> 3: the first FC sees 256 * 4 * 4 numbers.
    params = 1_792 + 73_856 + 295_168 + 2_097_664 + 65_664 + 1_290
    assert total_cost(describe(net, Shape(3, 32))).params == params


@given(st.integers(1, 512), st.integers(1, 64), st.integers(1, 9), st.integers(1, 9))
def test_pooling_looks_at_whole_windows_alone(channels: int, size: int, kernel: int, stride: int) -> None:
    if kernel > size:
        with pytest.raises(ShapeError):
            Pool(kernel, stride).output(Shape(channels, size))
        return
    starts = [start for start in range(0, size, stride) if start + kernel <= size]
    assert Pool(kernel, stride).output(Shape(channels, size)) == Shape(channels, len(starts))


@given(st.integers(1, 64), st.integers(1, 9), st.integers(1, 9))
def test_padded_convolutions_leave_no_pixel_out(size: int, kernel: int, stride: int) -> None:
    assert Conv(8, kernel, stride).output(Shape(3, size)) == Shape(8, math.ceil(size / stride))


def test_layers_are_values_and_write_themselves() -> None:
    layers = (Conv(64, 3), Pool(2, 2), FC(128), GAP(10), SM(10))
    assert [str(layer) for layer in layers] == ["C(64,3,1)", "P(2,2)", "FC(128)", "GAP(10)", "SM(10)"]
    assert len({Conv(64, 3), Conv(64, 3, 1), Conv(64, 3, 2), GAP(10), SM(10), FC(10)}) == 5
    assert Shape(64, 4).features == 1024
