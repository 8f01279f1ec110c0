"""max_params and max_macs: a move is legal exactly when some net within the limits begins with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from metaqnn_trainer.contract.messages import GapHead, ModelOptions
from metaqnn_trainer.spaces.base import Cost, IllegalDesign
from metaqnn_trainer.spaces.cnn.layer import Layer, Net, describe, total_cost
from metaqnn_trainer.spaces.cnn.layers.conv import Conv
from metaqnn_trainer.spaces.cnn.notation import format_net, parse_net
from metaqnn_trainer.spaces.cnn.rules import SpaceRules
from metaqnn_trainer.spaces.cnn.space import Cnn, State
from tests.search.spaces import SVHN, TINY, after, moves, sample


def beginnings(space: Cnn, state: State, prefix: Net = ()) -> Iterator[tuple[Net, State]]:
    """Each beginning of a net that legal moves lead to, with its state."""
    yield prefix, state
    for layer in space.legal(state):
        following = space.step(state, layer)
        if following is not None:
            yield from beginnings(space, following, (*prefix, layer))


def every_net(space: Cnn) -> Iterator[Net]:
    for prefix, state in beginnings(space, space.start):
        yield from ((*prefix, layer) for layer in space.legal(state) if space.step(state, layer) is None)


def continuations(nets: list[Net]) -> dict[Net, set[Layer]]:
    """Each beginning of these nets, with the layers that follow it in one of them."""
    following: dict[Net, set[Layer]] = {}
    for net in nets:
        for length in range(len(net)):
            following.setdefault(net[:length], set()).add(net[length])
    return following


@pytest.mark.parametrize(("gap_head", "batch_norm"), [("paper", False), ("code", True)])
@pytest.mark.parametrize(
    "rules",
    [
        TINY,
        replace(TINY, gap_after_fc=True),
        replace(TINY, gap_at_depth_limit=False),
        replace(TINY, terminations=("GAP",)),
    ],
    ids=["both ends", "GAP anywhere", "GAP is a layer", "GAP"],
)
def test_the_mask_is_exact(gap_head: GapHead, batch_norm: bool, rules: SpaceRules) -> None:
    model = ModelOptions(gap_head=gap_head, batch_norm=batch_norm)
    free = Cnn(rules, model)
    everything = list(every_net(free))
    costs = {net: total_cost(describe(parse_net(free.text(net)), free.image, model)) for net in everything}
    assert len(everything) > 500
    rng = Random(0)
    for _ in range(30):
        example = costs[rng.choice(everything)]
        max_params = rng.choice([None, example.params, example.params - 1])
        max_macs = rng.choice([None, example.macs, example.macs + rng.randrange(1000)])
        within = [
            net
            for net, cost in costs.items()
            if (max_params is None or cost.params <= max_params) and (max_macs is None or cost.macs <= max_macs)
        ]
        limited = replace(rules, max_params=max_params, max_macs=max_macs)
        if not within:
            with pytest.raises(ValueError, match="no net stays within"):
                Cnn(limited, model)
            continue
        space = Cnn(limited, model)
        expected = continuations(within)
        assert {prefix: {*space.legal(state)} for prefix, state in beginnings(space, space.start)} == expected
        for prefix in rng.sample([*expected], min(20, len(expected))):
            assert set(after(space, prefix)) == expected[prefix], "said in words it is the same"


def test_a_detour_through_pooling_may_be_the_only_way_to_end() -> None:
    """Ending at once is too dear after this convolution, ending after a pool is not."""
    rules = replace(TINY, terminations=("SM",))
    net = parse_net("[C(16,1,1), P(3,2), SM(3)]")
    params, _ = total_cost(describe(net, Cnn(rules).start.shape))
    space = Cnn(replace(rules, max_params=params))
    assert space.walk(format_net(net))
    assert "SM(3)" not in moves(space, "C(16,1,1)")
    assert "P(3,2)" in moves(space, "C(16,1,1)")
    with pytest.raises(
        IllegalDesign, match=rf"^layer 2, SM\(3\): no net that begins like this stays within max_params={params}$"
    ):
        space.walk("[C(16,1,1), SM(3)]")


@pytest.mark.parametrize(("max_params", "max_macs"), [(500_000, None), (None, 20_000_000), (200_000, 50_000_000)])
def test_sampled_nets_stay_within(max_params: int | None, max_macs: int | None) -> None:
    rules = replace(SVHN, max_params=max_params, max_macs=max_macs)
    space = Cnn(rules)
    sampled = sample(space, 300)
    for net in sampled:
        params, macs = total_cost(describe(net, space.start.shape))
        assert params <= (rules.max_params or params)
        assert macs <= (rules.max_macs or macs)
    assert sum(isinstance(net[0], Conv) for net in sampled) > 100


@pytest.mark.parametrize(
    ("max_params", "max_macs", "words"),
    [
        (39, None, "max_params=39: the smallest one has 40 parameters"),
        (None, 479, "max_macs=479: the smallest one has 480 multiply-accumulates"),
        (1, 1, "max_params=1, max_macs=1: the smallest one has 40 parameters and 480 multiply-accumulates"),
    ],
)
def test_impossible_limits_name_the_cheapest_net(max_params: int | None, max_macs: int | None, words: str) -> None:
    # GAP alone: (3 channels + 1) * 10 parameters and 3 * 10 * 4 * 4 multiply-accumulates; pools are out of reach.
    rules = SpaceRules(image_size=4, channels=3, classes=10, max_layers=1, terminations=("GAP",))
    with pytest.raises(ValueError, match="no net stays") as caught:
        Cnn(replace(rules, max_params=max_params, max_macs=max_macs))
    assert str(caught.value) == f"no net stays within {words}"


def test_limits_that_no_net_keeps_at_once_name_every_cheapest_net() -> None:
    shape = Cnn(TINY).start.shape
    rules = replace(TINY, terminations=("SM",))
    everything = [total_cost(describe(net, shape)) for net in every_net(Cnn(rules))]
    fewest_params, fewest_macs = min(cost.params for cost in everything), min(cost.macs for cost in everything)
    assert Cost(fewest_params, fewest_macs) not in everything
    with pytest.raises(
        ValueError, match=r"the smallest one has \d+ parameters and \d+ multiply-accumulates or \d+ param"
    ):
        Cnn(replace(rules, max_params=fewest_params, max_macs=fewest_macs))
