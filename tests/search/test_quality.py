"""Searchers that learn from all results find a better design than random sampling, on a landscape that is made here."""

from __future__ import annotations

from random import Random
from statistics import fmean
from typing import Final

import pytest

from metaqnn_orch.search.searcher import SEARCHERS, Experience, Known, Setup
from metaqnn_trainer.spaces.cnn.layers.conv import Conv
from metaqnn_trainer.spaces.cnn.layers.fully_connected import FC
from metaqnn_trainer.spaces.cnn.layers.max_pool import Pool
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.spaces.cnn.space import Cnn
from tests.search.spaces import SVHN

BUDGET: Final = 100
SEEDS: Final = range(5)
LEARNERS: Final = {
    "evolution": {"population": 20, "tournament": 5},
    "local-search": {},
    "guided": {"candidates": 30},
}


def reward(design: str) -> float:
    """Highest, 1, for five convolutions of 128 filters, two poolings and one fully connected layer of 256 units."""
    net = parse_net(design)
    filters = [layer.filters for layer in net if isinstance(layer, Conv)]
    units = [layer.units for layer in net if isinstance(layer, FC)]
    poolings = sum(isinstance(layer, Pool) for layer in net)
    away = abs(len(filters) - 5) / 5 + abs(poolings - 2) / 2 + abs(len(units) - 1)
    away += fmean(number != 128 for number in filters or [0]) + fmean(number != 256 for number in units or [0])
    return 1 / (1 + away)


def best(method: str, options: dict[str, int], seed: int) -> float:
    """The highest reward that a search finds."""
    kind = SEARCHERS.load(method)
    searcher = kind(
        Setup(Cnn(SVHN), kind.Options(**options), lambda purpose, step: Random(f"{seed}/{purpose}/{step}"), ())
    )
    found: dict[str, float] = {}
    step = 0
    while len(found) < BUDGET:
        proposal = searcher.propose(step, Known(len(found), (), found.keys()))
        assert proposal is not None
        found.setdefault(proposal.design, reward(proposal.design))
        searcher.tell(Experience(proposal.design, found[proposal.design]))
        step += 1
    return max(found.values())


@pytest.mark.parametrize("method", LEARNERS)
def test_it_finds_a_better_design_than_random_sampling(method: str) -> None:
    """With as many trials, on average over the seeds."""
    gains = [best(method, LEARNERS[method], seed) - best("random", {}, seed) for seed in SEEDS]
    assert fmean(gains) > 0.05
