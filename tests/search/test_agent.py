from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from metaqnn_orch.search.agent import Agent
from metaqnn_orch.search.q_table import QTable
from metaqnn_trainer.spaces.base import IllegalDesign
from metaqnn_trainer.spaces.cnn.layer import Layer
from metaqnn_trainer.spaces.cnn.layers.conv import ConvolutionRules
from metaqnn_trainer.spaces.cnn.layers.max_pool import PoolingRules
from metaqnn_trainer.spaces.cnn.layers.softmax import SM
from metaqnn_trainer.spaces.cnn.notation import format_net, parse_net
from metaqnn_trainer.spaces.cnn.rules import SpaceRules
from metaqnn_trainer.spaces.cnn.space import Cnn
from tests.search.spaces import SVHN, TINY

# Seven moves at the start, then the end.
FLAT = SpaceRules(
    image_size=8,
    channels=1,
    classes=10,
    max_layers=1,
    convolution=ConvolutionRules(filters=(1, 2, 3, 4, 5, 6), kernels=(1,)),
    pooling=PoolingRules(shapes=()),
    terminations=("SM",),
)


def agent_of(rules: SpaceRules, **options: int) -> Agent:
    return Agent(Cnn(rules), QTable(), **options)


def updates(agent: Agent) -> int:
    return sum(row.updates for row in agent.q_table)


def test_at_epsilon_one_every_legal_move_is_as_likely() -> None:
    """Chi-square over the seven moves at the start; 0.1 % of honest agents exceed the bound.

    Whatever was learned before must not matter.
    """
    agent, rng = agent_of(FLAT), Random(11)
    for _ in range(50):
        agent.learn("[C(3,1,1), SM(10)]", 1.0, rng)
    counts = Counter(agent.propose(1.0, rng) for _ in range(14_000))
    assert set(counts) == {"[SM(10)]", *(f"[C({filters},1,1), SM(10)]" for filters in range(1, 7))}
    assert sum((count - 2000) ** 2 / 2000 for count in counts.values()) < 22.5


def test_at_epsilon_zero_the_best_move_is_taken() -> None:
    agent, rng = agent_of(SVHN), Random(1)
    target = "[C(256,3,1), P(3,2), C(64,5,1), GAP(10), SM(10)]"
    for _ in range(100):
        agent.learn(target, 0.9, rng)
    assert {agent.propose(0.0, rng) for _ in range(20)} == {target}


def test_ties_are_broken_uniformly() -> None:
    """Of seven moves three are spoilt: the other four, all at 0.5, share the proposals. Chi-square, 0.1 %."""
    agent, rng = agent_of(FLAT), Random(12)
    for net in ("[SM(10)]", "[C(1,1,1), SM(10)]", "[C(4,1,1), SM(10)]"):
        for _ in range(20):
            agent.learn(net, 0.0, rng)
    counts = Counter(agent.propose(0.0, rng) for _ in range(8_000))
    assert set(counts) == {f"[C({filters},1,1), SM(10)]" for filters in (2, 3, 5, 6)}
    assert sum((count - 2000) ** 2 / 2000 for count in counts.values()) < 16.3


def test_between_zero_and_one_the_best_move_keeps_its_share() -> None:
    """epsilon 0.5, seven moves: the best is proposed with 0.5 + 0.5/7 = 0.571, give or take four deviations."""
    agent, rng = agent_of(FLAT), Random(13)
    for _ in range(20):
        agent.learn("[C(5,1,1), SM(10)]", 1.0, rng)
    share = sum(agent.propose(0.5, rng) == "[C(5,1,1), SM(10)]" for _ in range(10_000)) / 10_000
    assert share == pytest.approx(0.5 + 0.5 / 7, abs=0.02)


def test_the_same_generator_proposes_the_same_nets() -> None:
    def nets(seed: int) -> list[str]:
        agent, rng = agent_of(SVHN), Random(seed)
        proposed = []
        for _ in range(30):
            proposed.append(agent.propose(0.5, rng))
            agent.learn(proposed[-1], 0.7, rng)
        return proposed

    assert nets(1) == nets(1)
    assert nets(1) != nets(2)


def test_what_a_seed_proposes_never_drifts() -> None:
    """Golden: a run that goes on after an upgrade must propose what it would have proposed before."""
    agent = agent_of(SVHN)
    assert [agent.propose(1.0, Random(seed)) for seed in (1, 4, 7)] == [
        "[C(512,5,1), C(128,3,1), C(256,3,1), P(3,2), C(64,1,1), C(256,3,1), C(64,1,1), P(5,3), SM(10)]",
        "[C(64,3,1), C(64,5,1), C(256,1,1), P(3,2), C(128,1,1), C(128,3,1), C(64,3,1), GAP(10), SM(10)]",
        "[C(64,5,1), C(64,3,1), C(256,1,1), C(256,5,1), C(256,3,1), C(64,3,1), P(2,2), C(128,1,1), SM(10)]",
    ]


def test_proposing_changes_nothing() -> None:
    agent, rng = agent_of(SVHN), Random(1)
    agent.learn("[SM(10)]", 0.3, rng)
    before = agent.q_table.digest()
    for _ in range(20):
        agent.propose(0.3, rng)
    assert agent.q_table.digest() == before
    assert len(agent.replay) == 1


def test_proposals_are_canonical_and_walk_through_the_space() -> None:
    agent, rng = agent_of(SVHN), Random(1)
    for _ in range(200):
        net = agent.propose(0.9, rng)
        assert format_net(parse_net(net)) == net
        agent.space.walk(net)


@pytest.mark.parametrize("draws", [1, 100, 128])
def test_learning_updates_from_exactly_so_many_draws(draws: int) -> None:
    agent, rng = agent_of(SVHN, replay_draws=draws), Random(1)
    agent.learn("[C(64,3,1), P(2,2), SM(10)]", 0.5, rng)
    assert updates(agent) == 3 * draws
    agent.learn("[SM(10)]", 0.5, rng)
    start = agent.space.start.key
    first, last = parse_net("[C(64,3,1), SM(10)]")
    # Every draw, whichever net it drew, updates one move of the start.
    assert agent.q_table.updates(start, first) + agent.q_table.updates(start, last) == 2 * draws


def test_one_draw_of_one_row_by_hand() -> None:
    """0.99*0.5 + 0.01*1 = 0.505 for the last move, then 0.99*0.5 + 0.01*0.505 = 0.50005 for the first."""
    agent = agent_of(SVHN, replay_draws=1)
    agent.learn("[C(64,3,1), SM(10)]", 1.0, Random(0))
    values = {(row.state.kind, str(row.move)): row.value for row in agent.q_table}
    assert values == {("start", "C(64,3,1)"): pytest.approx(0.50005), ("C", "SM(10)"): pytest.approx(0.505)}


def test_a_net_presented_again_has_two_rows_and_is_drawn_twice_as_often() -> None:
    agent, rng = agent_of(FLAT, replay_draws=1), Random(3)
    one, two = "[C(1,1,1), SM(10)]", "[C(2,1,1), SM(10)]"
    for net in (one, two, one):
        agent.learn(net, 0.6, rng)
    assert len(agent.replay) == 3
    assert agent.replay.unique == 2
    drawn = Counter(net for net, _ in agent.replay.draw(9_000, rng))
    assert drawn[one] == pytest.approx(6_000, abs=200)


def test_a_gap_net_learns_where_it_is_read() -> None:
    """Choosing GAP is the last decision; the value that sampling reads is the one that learning moved."""
    agent, rng = agent_of(SVHN), Random(1)
    agent.learn("[C(64,3,1), GAP(10), SM(10)]", 1.0, rng)
    transitions = agent.transitions("[C(64,3,1), GAP(10), SM(10)]")
    assert len(transitions) == 2
    assert transitions[-1].next_values is None
    state = agent.space.after("[C(64,3,1)]")
    assert state is not None
    moves = agent.space.legal(state)
    values = dict(zip(map(str, moves), agent.q_table.values(state.key, moves), strict=True))
    assert values["GAP(10)"] > 0.5
    assert {value for layer, value in values.items() if layer != "GAP(10)"} == {0.5}


def test_every_updated_value_is_one_that_sampling_reads() -> None:
    """One key for one state: the states of the table are those of walks through the space, fully connected included."""
    agent, rng = agent_of(TINY), Random(2)
    read: set[tuple[object, Layer]] = set()
    for _ in range(300):
        net = agent.propose(1.0, rng)
        agent.learn(net, rng.random(), rng)
        for state, _ in agent.space.walk(net):
            read |= {(state.key, layer) for layer in agent.space.legal(state)}
    rows = {(row.state, row.move) for row in agent.q_table}
    assert rows <= read
    assert {"start", "C", "P", "FC"} <= {row.state.kind for row in agent.q_table}
    assert any(row.state.kind == "FC" and isinstance(row.move, SM) for row in agent.q_table)


def test_a_net_of_another_space_is_refused_and_nothing_learned() -> None:
    agent = agent_of(SVHN)
    with pytest.raises(IllegalDesign):
        agent.learn("[SM(100)]", 0.5, Random(0))
    assert len(agent.replay) == 0
    assert list(agent.q_table) == []


def test_the_agent_finds_what_pays() -> None:
    """A whole search in small: reward by depth. The greedy net at the end is as deep as the space allows."""
    rules = replace(TINY, max_layers=3)
    agent, rng = Agent(Cnn(rules), QTable(learning_rate=0.1)), Random(4)
    for number in range(400):
        net = agent.propose(max(0.1, 1 - number / 300), rng)
        agent.learn(net, sum(not str(layer).startswith(("SM", "GAP")) for layer in parse_net(net)) / 3, rng)
    best = parse_net(agent.propose(0.0, rng))
    assert sum(not str(layer).startswith(("SM", "GAP")) for layer in best) == 3
