from __future__ import annotations

from collections import Counter
from random import Random

from metaqnn_orch.search.replay import ReplayMemory


def test_a_net_presented_twice_has_two_rows() -> None:
    replay = ReplayMemory()
    for net, reward in [("a", 0.1), ("b", 0.2), ("a", 0.1)]:
        replay.remember(net, reward)
    assert len(replay) == 3
    assert replay.unique == 2
    assert replay.reward("a") == 0.1
    assert replay.reward("c") is None


def test_draws_are_uniform_over_rows() -> None:
    """Net 0 has five of ten rows. Chi-square; 0.1 % of honest memories exceed the bound."""
    replay = ReplayMemory()
    for net in (0, 0, 0, 0, 0, 1, 2, 3, 4, 5):
        replay.remember(str(net), net / 10)
    draws = list(replay.draw(20_000, Random(7)))
    assert set(draws) == {(str(net), net / 10) for net in range(6)}
    counts = Counter(int(net) for net, _ in draws)
    expected = {net: 20_000 * (5 if net == 0 else 1) / 10 for net in range(6)}
    assert sum((counts[net] - expected[net]) ** 2 / expected[net] for net in range(6)) < 20.5


def test_draws_repeat_with_the_generator_and_take_one_number_each() -> None:
    replay = ReplayMemory()
    for net in "abcdefg":
        replay.remember(net, 0.5)
    assert list(replay.draw(50, Random(3))) == list(replay.draw(50, Random(3)))
    used, counted = Random(3), Random(3)
    assert len(list(replay.draw(50, used))) == 50
    for _ in range(50):
        counted.random()
    assert used.random() == counted.random()
    assert list(replay.draw(0, used)) == []
