"""The places at which GAP may end a net: where it repeats SM, and at the depth limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from metaqnn_trainer.contract.messages import ModelOptions
from metaqnn_trainer.spaces.base import IllegalDesign
from metaqnn_trainer.spaces.cnn.layer import Layer, describe, total_cost
from metaqnn_trainer.spaces.cnn.layers.fully_connected import FullyConnectedRules
from metaqnn_trainer.spaces.cnn.layers.gap import GAP
from metaqnn_trainer.spaces.cnn.layers.softmax import SM
from metaqnn_trainer.spaces.cnn.notation import format_net
from metaqnn_trainer.spaces.cnn.rules import SpaceRules
from metaqnn_trainer.spaces.cnn.space import Cnn
from tests.search.spaces import SVHN, TINY, at, moves, sample

CODE = ModelOptions(gap_head="code")
SEVEN = "C(64,3,1), P(3,2), C(64,3,1), P(3,2)"  # 32 -> 15 -> 7
ONE_PIXEL = "C(64,3,1), P(5,3), C(64,3,1), P(3,2), C(64,3,1), P(3,2)"  # 32 -> 10 -> 4 -> 1
DEEPEST = ", ".join(["C(64,3,1)"] * 12)


@pytest.mark.parametrize(
    ("changes", "model", "illegal"),
    [
        ({}, ModelOptions(), {"FC", "one pixel"}),
        ({}, CODE, {"FC"}),  # this head has a ReLU and a dense layer, so that a pixel is not the same to it
        ({"gap_after_fc": True}, ModelOptions(), set()),
        ({"gap_at_depth_limit": False}, ModelOptions(), {"FC", "one pixel", "deepest"}),
        ({"gap_at_depth_limit": False}, CODE, {"FC", "deepest"}),
        ({"gap_after_fc": True, "gap_at_depth_limit": False}, ModelOptions(), {"deepest"}),
        ({"terminations": ("GAP",)}, ModelOptions(), set()),  # nothing else could end a net
    ],
)
def test_where_gap_may_stand(changes: dict[str, Any], model: ModelOptions, illegal: set[str]) -> None:
    space = Cnn(replace(SVHN, **changes), model)
    places = {
        "start": "",
        "convolution": "C(64,3,1)",
        "pooling": SEVEN,
        "three pixels": "C(64,3,1), P(5,3), C(64,3,1), P(5,3)",
        "FC": f"{SEVEN}, FC(128)",
        "one pixel": ONE_PIXEL,
        "deepest": DEEPEST,
    }
    assert {place for place, prefix in places.items() if "GAP(10)" not in moves(space, prefix)} == illegal


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (
            f"[{SEVEN}, FC(128), GAP(10), SM(10)]",
            r"layer 6, GAP\(10\): after a fully connected layer it repeats SM, and gap_after_fc is false",
        ),
        (
            f"[{ONE_PIXEL}, GAP(10), SM(10)]",
            r"layer 7, GAP\(10\): on a single pixel it repeats SM, and gap_after_fc is false",
        ),
        (
            f"[{DEEPEST}, GAP(10), SM(10)]",
            r"layer 13, GAP\(10\): a net has at most 12 layers, and GAP is one of them: gap_at_depth_limit is false",
        ),
    ],
)
def test_the_objections_name_the_option(net: str, reason: str) -> None:
    with pytest.raises(IllegalDesign, match=f"^{reason}$"):
        Cnn(replace(SVHN, gap_at_depth_limit=False)).walk(net)
    assert Cnn(replace(SVHN, gap_after_fc=True)).walk(net)


def test_by_default_it_never_repeats_the_softmax_and_stands_everywhere_else() -> None:
    """It repeats the softmax where the net that ends in SM instead costs the same."""
    anywhere, default = Cnn(replace(SVHN, gap_after_fc=True)), Cnn(SVHN)
    met = set()
    for net in sample(anywhere, 1000):
        *layers, end = anywhere.parse(format_net(net))
        if isinstance(end, GAP):
            costs = [total_cost(describe((*layers, *last), default.image)) for last in (net[-2:], (SM(10),))]
            repeats = costs[0] == costs[1]
            assert (end in default.legal(at(default, ", ".join(map(str, layers))))) != repeats, net
            met.add(repeats)
    assert met == {True, False}


@pytest.mark.parametrize(
    ("after_fc", "at_depth_limit", "terminations", "gap_head"),
    [
        each
        for each in product((False, True), (False, True), (("GAP", "SM"), ("GAP",), ("SM",)), ("paper", "code"))
        if each[1] or "SM" in each[2]
    ],
)
def test_no_walk_ends_nowhere(
    after_fc: bool, at_depth_limit: bool, terminations: tuple[str, ...], gap_head: str
) -> None:
    small = replace(TINY, max_layers=3, image_size=5, terminations=terminations)
    rules = replace(small, gap_after_fc=after_fc, gap_at_depth_limit=at_depth_limit)
    model = ModelOptions.model_validate({"gap_head": gap_head})
    free = Cnn(rules, model)
    everything = {*every_net(free)}
    assert len(everything) > 50
    fewest = min(free.cost(net).params for net in everything)
    limited = Cnn(replace(rules, max_params=fewest + 40), model)
    assert {*every_net(limited)} == {net for net in everything if free.cost(net).params <= fewest + 40}
    for net in everything:
        assert free.text([layer for _, layer in free.walk(net)]) == net
        assert {*free.neighbours(net)} <= everything


def every_net(space: Cnn, *beginning: Layer) -> Iterator[str]:
    state = space.after(space.text(beginning))
    if state is None:
        yield space.text(beginning)
        return
    assert space.legal(state), f"nothing may follow {space.text(beginning)}"
    for move in space.legal(state):
        yield from every_net(space, *beginning, move)


def test_a_space_of_gap_alone_may_have_fully_connected_layers() -> None:
    space = Cnn(replace(SVHN, terminations=("GAP",)))
    assert moves(space, f"{SEVEN}, FC(128)") == {"FC(128)", "GAP(10)"}
    assert space.walk(f"[{SEVEN}, FC(128), FC(128), GAP(10), SM(10)]")


def test_the_deepest_nets_of_a_space_of_gap_alone_would_have_no_end() -> None:
    with pytest.raises(ValueError, match=r"^gap_at_depth_limit: false needs SM in terminations"):
        replace(SVHN, terminations=("GAP",), gap_at_depth_limit=False)


def test_the_smallest_net_of_one_pixel_ends_in_a_softmax() -> None:
    rules = SpaceRules(image_size=1, channels=3, classes=10, fully_connected=FullyConnectedRules(units=()))
    assert Cnn(rules).following("") == ["SM(10)"]
    with pytest.raises(ValueError, match="the smallest one has 40 parameters"):
        Cnn(replace(rules, max_params=39))


def test_neighbours_keep_the_rules() -> None:
    net = f"[{SEVEN}, SM(10)]"
    assert f"[{SEVEN}, GAP(10), SM(10)]" in {*Cnn(SVHN).neighbours(net)}
    deeper = f"[{SEVEN}, FC(128), SM(10)]"
    assert deeper in {*Cnn(SVHN).neighbours(net)}
    assert f"[{SEVEN}, FC(128), GAP(10), SM(10)]" not in {*Cnn(SVHN).neighbours(deeper)}
    # A fully connected layer before GAP is no neighbour either, nor is GAP after what was taken out before it.
    assert not [near for near in Cnn(SVHN).neighbours(f"[{SEVEN}, GAP(10), SM(10)]") if "FC" in near and "GAP" in near]


@pytest.mark.parametrize(
    ("changes", "model", "words"),
    [
        ({}, ModelOptions(), "GAP or SM, from any state; GAP not after a fully connected layer or on a single pixel"),
        ({}, CODE, "GAP or SM, from any state; GAP not after a fully connected layer"),
        ({"gap_after_fc": True}, ModelOptions(), "GAP or SM, from any state"),
        (
            {"gap_after_fc": True, "gap_at_depth_limit": False},
            CODE,
            "GAP or SM, from any state; GAP not after 12 layers",
        ),
        ({"terminations": ("GAP",)}, ModelOptions(), "GAP, from any state"),
        ({"terminations": ("SM",), "gap_at_depth_limit": False}, ModelOptions(), "SM, from any state"),
    ],
)
def test_the_words(changes: dict[str, Any], model: ModelOptions, words: str) -> None:
    assert dict(Cnn(replace(SVHN, **changes), model).words())["termination"] == words
