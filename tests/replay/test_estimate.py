"""Estimates: the mean of the nearest, within what is known, and better than no estimate at all."""

from __future__ import annotations

import csv
from pathlib import Path
from random import Random
from statistics import fmean

import pytest

from metaqnn_orch.replay.estimate import Estimator, features
from metaqnn_trainer.contract.errors import ShapeError
from metaqnn_trainer.spaces.cnn.layer import Net, Shape
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.spaces.cnn.space import Cnn
from tests.search.spaces import SVHN, sample

RECORDED = Path(__file__).parents[3] / "shared" / "paper" / "replay_sample.csv"
SHAPE = Shape(3, 32)


def nets(count: int) -> list[Net]:
    return sample(Cnn(SVHN), count)


def test_an_estimate_lies_within_what_is_known() -> None:
    rng = Random(3)
    estimate = Estimator({net: 0.2 + 0.5 * rng.random() for net in nets(60)}, SHAPE)
    for net in nets(200):
        assert 0.2 <= estimate(net) <= 0.7


def test_a_known_net_is_its_own_nearest() -> None:
    known = {net: number / 100 for number, net in enumerate(dict.fromkeys(nets(80)))}
    estimate = Estimator(known, SHAPE)
    alike = [tuple(features(net, SHAPE)) for net in known]
    for net, accuracy in known.items():
        if alike.count(tuple(features(net, SHAPE))) == 1:
            assert estimate(net) == pytest.approx(accuracy, abs=1e-6)


def test_the_same_net_has_the_same_estimate() -> None:
    known = {net: number / 100 for number, net in enumerate(nets(50))}
    assert [Estimator(known, SHAPE)(net) for net in nets(20)] == [Estimator(known, SHAPE)(net) for net in nets(20)]


@pytest.mark.parametrize("count", [1, 2, 9])
def test_few_nets_are_enough(count: int) -> None:
    known = dict.fromkeys(nets(count), 0.5)
    assert Estimator(known, SHAPE)(parse_net("[C(64,3,1), SM(10)]")) == pytest.approx(0.5)


def test_a_net_that_does_not_fit_is_no_net() -> None:
    with pytest.raises(ShapeError):
        Estimator({parse_net("[SM(10)]"): 0.1}, SHAPE)(parse_net("[P(64,64), SM(10)]"))


def test_features_tell_nets_apart() -> None:
    texts = [
        "[SM(10)]",
        "[GAP(10), SM(10)]",
        "[C(64,3,1), SM(10)]",
        "[C(128,3,1), SM(10)]",
        "[C(64,5,1), SM(10)]",
        "[C(64,3,1), P(2,2), SM(10)]",
        "[C(64,3,1), P(5,3), P(3,2), FC(128), SM(10)]",
    ]
    rows = [features(parse_net(text), SHAPE) for text in texts]
    assert len({tuple(row) for row in rows}) == len(texts)
    assert {len(row) for row in rows} == {12}


@pytest.mark.skipif(not RECORDED.exists(), reason="the authors' replay memory is not here")
def test_on_the_authors_nets_it_is_better_than_the_mean() -> None:
    """Ten-fold: no net is estimated by a table that has it."""
    with RECORDED.open(newline="") as file:
        known = [(parse_net(row["net"]), float(row["accuracy_best_val"])) for row in csv.DictReader(file)]
    errors, spread = [], []
    for fold in range(10):
        held_out, kept = known[fold::10], [pair for number, pair in enumerate(known) if number % 10 != fold]
        estimate, mean = Estimator(dict(kept), SHAPE), fmean(accuracy for _, accuracy in kept)
        errors += [(estimate(net) - accuracy) ** 2 for net, accuracy in held_out]
        spread += [(mean - accuracy) ** 2 for _, accuracy in held_out]
    assert fmean(errors) < 0.65 * fmean(spread)
