"""The recipe's numbers, against the paper's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_trainer.contract.messages import RatePhase, Recipe
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.training.recipe import derive_seed, dropout_probabilities, learning_rate

NET = parse_net("[C(64,3,1), P(2,2), FC(128), FC(128), SM(10)]")


def test_the_rate_falls_to_a_fifth_every_five_epochs() -> None:
    rates = [learning_rate(Recipe(), 1, epoch) for epoch in range(1, 21)]
    assert rates == pytest.approx([1e-3] * 5 + [2e-4] * 5 + [4e-5] * 5 + [8e-6] * 5)


def test_each_restart_begins_lower() -> None:
    assert [learning_rate(Recipe(), rate, 1) for rate in range(1, 6)] == pytest.approx(
        [1e-3, 4e-4, 1.6e-4, 6.4e-5, 2.56e-5]
    )
    assert learning_rate(Recipe(), 2, 6) == pytest.approx(4e-4 * 0.2)


def test_phases_say_each_epochs_rate() -> None:
    recipe = Recipe(phases=(RatePhase(epochs=2, learning_rate=0.025), RatePhase(epochs=3, learning_rate=1e-4)))
    assert [learning_rate(recipe, 1, epoch) for epoch in range(1, 6)] == [0.025] * 2 + [1e-4] * 3
    assert learning_rate(recipe, 2, 3) == pytest.approx(0.4e-4)


def test_dropout_by_the_paper_by_table_a1_and_not_at_all() -> None:
    assert dropout_probabilities(NET, Recipe()) == {1: 1 / 8, 2: 2 / 8, 3: 3 / 8}
    assert dropout_probabilities(NET, Recipe(dropout="after_fc", fc_dropout=0.4)) == {2: 0.4, 3: 0.4}
    assert dropout_probabilities(NET, Recipe(dropout="none")) == {}


def test_seeds_differ_in_everything_that_they_are_made_from() -> None:
    base = derive_seed(Recipe(), "a", 1, 1, "order")
    others = [
        derive_seed(Recipe(seed=1), "a", 1, 1, "order"),
        derive_seed(Recipe(), "b", 1, 1, "order"),
        derive_seed(Recipe(), "a", 2, 1, "order"),
        derive_seed(Recipe(), "a", 1, 2, "order"),
        derive_seed(Recipe(), "a", 1, 1, "dropout"),
    ]
    assert len({base, *others}) == 6
    assert base == derive_seed(Recipe(), "a", 1, 1, "order")


@given(st.integers(0, 2**63 - 1), st.integers(1, 20), st.integers(0, 10_000))
def test_seeds_fit_a_generator(seed: int, rate: int, epoch: int) -> None:
    assert 0 <= derive_seed(Recipe(seed=seed), "digest", rate, epoch, "weights") < 2**63
