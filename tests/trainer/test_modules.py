"""Networks are what the contract says that they are: shapes, parameters, heads, dropout."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from metaqnn_trainer.contract.errors import ShapeError
from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.modules import fused
from metaqnn_trainer.modules.conv import SameConv2d
from metaqnn_trainer.modules.model import Dropout, build_model
from metaqnn_trainer.spaces.cnn.layer import Layer, Net, Shape, describe, total_cost
from metaqnn_trainer.spaces.cnn.layers.conv import Conv
from metaqnn_trainer.spaces.cnn.layers.fully_connected import FC
from metaqnn_trainer.spaces.cnn.layers.gap import GAP
from metaqnn_trainer.spaces.cnn.layers.max_pool import Pool
from metaqnn_trainer.spaces.cnn.layers.softmax import SM
from metaqnn_trainer.spaces.cnn.notation import parse_net

GREY8 = Shape(1, 8)


def build(net: Net | str, shape: Shape = GREY8, options: ModelOptions | None = None, seed: int = 0) -> nn.Sequential:
    layers = parse_net(net) if isinstance(net, str) else net
    return build_model(layers, shape, options or ModelOptions(), {}, torch.Generator().manual_seed(seed))


layers = st.one_of(
    st.builds(Conv, st.integers(1, 9), st.integers(1, 6), st.integers(1, 3)),
    st.builds(Pool, st.integers(1, 3), st.integers(1, 3)),
)
endings = st.tuples(st.lists(st.builds(FC, st.integers(1, 9)), max_size=2), st.booleans())


@given(
    st.lists(layers, max_size=5),
    endings,
    st.builds(Shape, st.integers(1, 3), st.integers(1, 13)),
    st.builds(
        ModelOptions,
        activation=st.sampled_from(["relu", "elu"]),
        batch_norm=st.booleans(),
        gap_head=st.sampled_from(["paper", "code"]),
    ),
)
@settings(max_examples=150)
def test_every_net_has_the_shapes_and_parameters_that_the_contract_describes(
    body: list[Layer], ending: tuple[list[Layer], bool], shape: Shape, options: ModelOptions
) -> None:
    connected, gap = ending
    net: Net = (*body, *connected, *([GAP(4)] if gap else []), SM(4))
    try:
        reports = describe(net, shape, options)
    except ShapeError:
        with pytest.raises(ShapeError):
            build(net, shape, options)
        return
    model = build(net, shape, options).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) == total_cost(reports).params
    x = torch.randn(2, shape.channels, shape.size, shape.size)
    for name, module in model.named_children():
        x = module(x)
        output = reports[int(name.split("_")[0])].output
        assert x[0].numel() == output.features or name.endswith(("maps", "flatten")) or "activation" in name
        if isinstance(module, nn.Conv2d | nn.MaxPool2d) and not name.endswith("maps"):
            assert tuple(x.shape[1:]) == (output.channels, output.size, output.size)
    assert x.shape == (2, 4)
    assert x.isfinite().all()


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", range(1, 7))
def test_convolutions_give_the_size_divided_by_the_stride_rounded_up(kernel: int, stride: int, size: int) -> None:
    out = SameConv2d(1, 1, kernel, stride, size)(torch.zeros(1, 1, size, size))
    assert out.shape[-2:] == (-(-size // stride),) * 2


def test_an_even_field_is_padded_more_at_the_right_and_the_bottom() -> None:
    convolution = SameConv2d(1, 1, 2, 1, 3)
    with torch.no_grad():
        convolution.weight.fill_(1)
        convolution.bias.zero_()  # type: ignore[union-attr]
        out = convolution(torch.ones(1, 1, 3, 3))[0, 0]
    assert out.tolist() == [[4, 4, 2], [4, 4, 2], [2, 2, 1]]


def test_the_papers_head_averages_one_map_for_each_class() -> None:
    model = build("[C(5,3,1), GAP(3), SM(3)]")
    assert [type(module).__name__ for module in model] == ["SameConv2d", "ReLU", "ClassMaps", "SpatialMean"]
    x = torch.randn(4, 1, 8, 8)
    assert torch.allclose(model(x), model[:3](x).mean((2, 3)))
    assert (model(x) < 0).any()


def test_the_codes_head_rectifies_and_ends_in_a_dense_layer() -> None:
    model = build("[C(5,3,1), GAP(3), SM(3)]", options=ModelOptions(gap_head="code"))
    kinds = ["SameConv2d", "ReLU", "ClassMaps", "ReLU", "SpatialMean", "Flatten", "Linear"]
    assert [type(module).__name__ for module in model] == kinds
    assert (model[:5](torch.randn(4, 1, 8, 8)) >= 0).all()


def test_global_pooling_follows_a_fully_connected_layer() -> None:
    assert build("[FC(7), GAP(3), SM(3)]")(torch.randn(2, 1, 8, 8)).shape == (2, 3)


def test_weights_are_xaviers_and_biases_zero() -> None:
    model = build("[C(64,5,1), C(64,3,1), P(2,2), FC(100), SM(10)]", Shape(3, 16))
    weighted = [module for module in model if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(weighted) == 4
    for module in weighted:
        field = module.weight[0, 0].numel() if isinstance(module, nn.Conv2d) else 1
        bound = (6 / (field * (module.weight.shape[0] + module.weight.shape[1]))) ** 0.5
        assert 0.95 * bound < module.weight.abs().max() <= bound
        assert module.bias is not None
        assert not module.bias.any()


def test_the_generator_decides_the_weights_and_nothing_else_does() -> None:
    torch.manual_seed(1)
    first = build("[C(4,3,1), SM(10)]").state_dict()
    torch.manual_seed(2)
    again, other = build("[C(4,3,1), SM(10)]").state_dict(), build("[C(4,3,1), SM(10)]", seed=1).state_dict()
    assert list(first) == ["0_conv.weight", "0_conv.bias", "1_logits.weight", "1_logits.bias"]
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0_conv.weight"], other["0_conv.weight"])


@pytest.mark.parametrize("options", [ModelOptions(), ModelOptions(batch_norm=True), ModelOptions(activation="elu")])
def test_a_relu_behind_the_pooling_changes_no_bit(options: ModelOptions) -> None:
    net, waits = parse_net("[C(8,3,1), P(3,2), C(8,3,1), C(8,1,1), P(2,2), SM(3)]"), options.activation == "relu"
    model = build_model(net, Shape(1, 16), options, {}, torch.Generator().manual_seed(1))
    names = list(dict(model.named_children()))

    def place(name: str) -> tuple[int, int]:
        index, _, part = name.partition("_")
        return int(index), ["flatten", "conv", "norm", "activation", "pool", "logits"].index(part)

    assert (names.index("1_pool") < names.index("0_activation")) is waits
    assert (names.index("4_pool") < names.index("3_activation")) is waits
    in_order = nn.Sequential(*(model.get_submodule(name) for name in sorted(names, key=place)))
    images = torch.randn(16, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    found = []
    for module in (model, in_order):
        model.zero_grad()
        out = module(images)
        out.square().sum().backward()
        found.append([out.detach(), *(parameter.grad for parameter in model.parameters())])
    assert all(map(torch.equal, *found))


@pytest.mark.parametrize(
    ("net", "options", "runs"),
    [
        ("[C(8,3,1), C(8,3,1), P(2,2), SM(3)]", ModelOptions(), 2 + 2),  # the softmax layer is two modules
        ("[C(8,3,1), P(3,2), C(8,1,1), P(2,2), SM(3)]", ModelOptions(), 2 + 2),
        ("[C(8,3,1), SM(3)]", ModelOptions(batch_norm=True), 3 + 2),
        ("[C(8,3,1), SM(3)]", ModelOptions(activation="elu"), 2 + 2),
        ("[DSC(8,3,1), SM(3)]", ModelOptions(), 3 + 2),
    ],
)
def test_what_a_gpu_runs_together(net: str, options: ModelOptions, runs: int) -> None:
    assert len(fused._fused(list(build_model(parse_net(net), GREY8, options, {}, torch.Generator())))) == runs


@pytest.mark.parametrize("net", ["[C(8,3,1), P(3,2), SM(3)]", "[C(8,3,1), C(8,2,1), SM(3)]"])
def test_where_cudnn_has_no_kernel_for_both_they_are_computed_apart(net: str) -> None:
    """So it is on a CPU; tests/gpu compares what really runs together."""
    draws = torch.Generator().manual_seed(1)
    model = build_model(parse_net(net), GREY8, ModelOptions(), {}, draws)
    for module in model:
        if isinstance(module, SameConv2d) and module.bias is not None:
            nn.init.normal_(module.bias, generator=draws)
    images = torch.randn(16, 1, 8, 8, generator=draws)
    found = []
    for runs in (list(model), fused._fused(list(model))):
        model.zero_grad()
        out = images
        for run in runs:
            out = run(out)
        out.square().sum().backward()
        found.append([out.detach(), *(parameter.grad for parameter in model.parameters())])
    assert len(runs) == len(list(model)) - 2
    for apart, together in zip(*found, strict=True):
        torch.testing.assert_close(apart, together)


def test_dropout_stands_where_it_was_asked_for() -> None:
    net = parse_net("[C(4,3,1), P(2,2), FC(5), SM(3)]")
    model = build_model(net, GREY8, ModelOptions(), {1: 0.25, 2: 0.5}, torch.Generator())
    names = list(dict(model.named_children()))
    assert names[:4] == ["0_conv", "1_pool", "0_activation", "1_dropout"]
    assert names.index("2_dropout") == names.index("2_activation") + 1
    assert model.get_submodule("2_dropout").p == 0.5


@pytest.mark.parametrize("p", [0.0, 0.1, 1 / 6, 0.5, 0.9, 1.0])
def test_dropout_drops_its_share_and_keeps_the_mean(p: float) -> None:
    x = torch.ones(40, 25, 10, 10).contiguous(memory_format=torch.channels_last).requires_grad_()
    torch.manual_seed(0)
    out = Dropout(p)(x)
    assert (out == 0).float().mean().item() == pytest.approx(p, abs=0.005)
    if p < 1:
        assert out.max().item() == pytest.approx(1 / (1 - p))
        assert out.mean().item() == pytest.approx(1, abs=0.02)
    out.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, out.detach())


@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 3, 1, 1), (7, 3, 5, 5)])
def test_dropout_takes_any_shape_and_rests_in_evaluation(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    assert Dropout(0.5)(x).shape == shape
    assert Dropout(0.5).eval()(x) is x
