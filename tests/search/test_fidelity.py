"""The paper and its authors' record, as one reads them: what the search must be, in one place.

Baker, Gupta, Naik, Raskar: Designing Neural Network Architectures using Reinforcement Learning (ICLR 2017), and 300
rows of the replay memory that the authors published (SVHN). Neighbouring tests go through each rule case by case;
Table A2's parameter counts stand in tests/spaces/cnn/test_layers.py, the recipe in tests/trainer.
"""

from __future__ import annotations

import csv
from collections import Counter
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from metaqnn_orch.control.events import Proposed, Told
from metaqnn_orch.control.state import RunState
from metaqnn_orch.search.agent import Agent
from metaqnn_orch.search.q_table import QTable
from metaqnn_orch.settings.model import Settings
from metaqnn_orch.settings.sources import load_settings
from metaqnn_orch.settings.values import differences
from metaqnn_trainer.spaces.base import IllegalDesign
from metaqnn_trainer.spaces.cnn.dropout import format_with_dropout
from metaqnn_trainer.spaces.cnn.layer import Layer
from metaqnn_trainer.spaces.cnn.layers.conv import Conv
from metaqnn_trainer.spaces.cnn.layers.fully_connected import FC
from metaqnn_trainer.spaces.cnn.layers.gap import GAP
from metaqnn_trainer.spaces.cnn.layers.max_pool import Pool
from metaqnn_trainer.spaces.cnn.layers.softmax import SM
from metaqnn_trainer.spaces.cnn.notation import format_net, parse_net
from metaqnn_trainer.spaces.cnn.space import Cnn
from tests.search.spaces import at, moves

RECORDED = Path(__file__).parents[3] / "shared" / "paper" / "replay_sample.csv"
needs_the_record = pytest.mark.skipif(not RECORDED.exists(), reason="the authors' replay memory is not here")

CONVOLUTIONS = {f"C({filters},{field},1)" for filters in (64, 128, 256, 512) for field in (1, 3, 5)}
POOLS = {"P(5,3)", "P(3,2)", "P(2,2)"}
ENDS = {"GAP(10)", "SM(10)"}


def preset(name: str) -> Settings:
    return load_settings(name, {}, [], {}).settings


@pytest.fixture(scope="module")
def svhn() -> Cnn:
    settings = preset("svhn")
    return Cnn(settings.space, settings.model)


@pytest.fixture(scope="module")
def svhn_code() -> Cnn:
    settings = preset("svhn-code")
    return Cnn(settings.space, settings.model)


def recorded() -> list[dict[str, str]]:
    with RECORDED.open(newline="") as file:
        return list(csv.DictReader(file))


# Legal moves: section 4.1, Table 1 and Figure 2, and the rule of the recorded nets for receptive fields.

SMALL_FIELDS = {layer for layer in CONVOLUTIONS if ",5," not in layer}
FC_ALL, FC_256 = {"FC(512)", "FC(256)", "FC(128)"}, {"FC(256)", "FC(128)"}


@pytest.mark.parametrize(
    ("prefix", "following"),
    [
        ("", CONVOLUTIONS | ENDS),
        ("C(64,3,1)", CONVOLUTIONS | POOLS | ENDS),
        ("C(64,3,1), P(2,2)", CONVOLUTIONS | ENDS),  # 32 -> 16
        ("C(64,3,1), P(5,3), C(64,1,1), P(2,2)", SMALL_FIELDS | FC_ALL | ENDS),  # 10 -> 5, bucket 4
        ("C(64,3,1), P(5,3), C(64,1,1), P(2,2), C(64,1,1)", SMALL_FIELDS | {"P(3,2)", "P(2,2)"} | FC_ALL | ENDS),
        ("C(64,3,1), P(5,3), C(64,1,1), P(5,3)", FC_ALL | ENDS),  # 10 -> 2, bucket 1
        ("C(64,3,1), P(5,3), C(64,1,1), P(2,2), FC(256)", FC_256 | {"SM(10)"}),
        ("C(64,3,1), P(5,3), C(64,1,1), P(2,2), FC(256), FC(128)", {"SM(10)"}),
        (", ".join(["C(64,3,1)"] * 12), ENDS),
        ("C(64,3,1), GAP(10)", {"SM(10)"}),
        ("SM(10)", set()),
    ],
)
def test_legal_moves_of_every_kind_of_state(svhn: Cnn, prefix: str, following: set[str]) -> None:
    assert moves(svhn, prefix) == following


def test_every_preset_of_table_1_differs_in_images_and_depth_alone() -> None:
    limits = {name: preset(name).space.max_layers for name in ("svhn", "mnist", "cifar10", "cifar100")}
    assert limits == {"svhn": 12, "mnist": 12, "cifar10": 18, "cifar100": 18}
    assert len({repr(preset(name).space.convolution) for name in limits}) == 1
    assert len({repr(preset(name).space.pooling) for name in limits}) == 1
    assert preset("cifar10").recipe.normalisation == preset("cifar100").recipe.normalisation == "pixel"
    assert preset("cifar10").recipe.mirror
    assert preset("svhn").recipe.normalisation == "channel"


def test_table_a1_is_a_space_of_its_own() -> None:
    rules = preset("mnist-table-a1").space
    assert (rules.max_layers, rules.size_buckets, rules.terminations) == (15, (), ("SM",))
    assert rules.convolution.filters == (60, 120, 240)
    assert rules.fully_connected.units == (1000, 500, 250, 100, 50, 10)
    assert (rules.fully_connected.max_layers, rules.fully_connected.max_size) == (None, None)
    assert (preset("mnist-table-a1").model.activation, preset("mnist-table-a1").recipe.dropout) == ("elu", "after_fc")


# The authors' code: the preset svhn-code.


@pytest.mark.parametrize(
    ("prefix", "following"),
    [
        ("", CONVOLUTIONS | ENDS),
        ("C(64,3,1)", CONVOLUTIONS | POOLS | ENDS),
        ("C(64,3,1), P(2,2)", CONVOLUTIONS | ENDS),
        ("C(64,3,1), P(5,3), C(64,1,1), P(2,2)", SMALL_FIELDS | FC_ALL | ENDS),
        ("C(64,3,1), P(5,3), C(64,1,1), P(5,3)", FC_ALL | ENDS),
        ("C(64,3,1), P(5,3), C(64,1,1), P(3,2), C(64,1,1), P(3,2)", FC_ALL | ENDS),  # 10 -> 4 -> 1, one pixel
        ("C(64,3,1), P(5,3), C(64,1,1), P(2,2), FC(256)", FC_256 | {"SM(10)"}),
        (", ".join(["C(64,3,1)"] * 11), CONVOLUTIONS | POOLS | ENDS),
        (", ".join(["C(64,3,1)"] * 12), {"SM(10)"}),
        (", ".join(["C(64,3,1)"] * 11 + ["P(2,2)"]), {"SM(10)"}),
    ],
)
def test_the_moves_of_the_authors_code(svhn_code: Cnn, prefix: str, following: set[str]) -> None:
    """state_enumerator.py: GAP is a layer like others, after the start, a convolution or a pooling."""
    assert moves(svhn_code, prefix) == following


def test_the_moves_of_the_authors_code_follow_from_the_key(svhn_code: Cnn) -> None:
    """So they need not know more of a state than their Q-table does."""
    agent, rng, known = Agent(svhn_code, QTable()), Random(3), dict[object, set[str]]()
    for _ in range(500):
        for state, _ in svhn_code.walk(agent.propose(1.0, rng)):
            legal = {str(layer) for layer in svhn_code.legal(state)}
            assert known.setdefault(state.key, legal) == legal


def test_the_authors_code_is_the_papers_search_but_for_what_docs_fidelity_lists() -> None:
    assert differences(preset("svhn").recorded(), preset("svhn-code").recorded()) == [
        "space.gap_at_depth_limit: true -> false",
        'model.gap_head: "paper" -> "code"',
        'recipe.precision: "bf16" -> "fp32"',
        "agent.replay_draws: 100 -> 128",
        "finals.momentum: (absent) -> 0.9",
        "finals.weight_decay: (absent) -> 0.0005",
        'finals.precision: (absent) -> "fp32"',
    ]


# The record.


@needs_the_record
def test_every_recorded_path_is_legal_and_every_string_is_reproduced_from_the_bare_net(svhn_code: Cnn) -> None:
    rows = recorded()
    assert len(rows) == 300
    for row in rows:
        net = parse_net(row["net"])
        chosen = [layer for _, layer in svhn_code.walk(row["net"])]
        assert svhn_code.text(chosen) == format_net(net)
        assert format_with_dropout(net) == row["net"]


@needs_the_record
def test_the_papers_space_lacks_one_recorded_net_whose_average_pooling_repeats_the_softmax(svhn: Cnn) -> None:
    refused = []
    for row in recorded():
        try:
            svhn.walk(row["net"])
        except IllegalDesign as error:
            refused.append(str(error))
    assert refused == ["layer 12, GAP(10): on a single pixel it repeats SM, and gap_after_fc is false"]


@needs_the_record
def test_what_the_record_says_of_its_rules() -> None:
    """The facts on which the defaults rest."""
    nets = [parse_net(row["net"]) for row in recorded()]
    depths = Counter(sum(not isinstance(layer, GAP | SM) for layer in net) for net in nets)
    assert max(depths) == 12
    assert not any(isinstance(net[0], Pool) for net in nets)
    pairs: set[tuple[type[Layer], type[Layer]]] = {
        (type(one), type(other)) for net in nets for one, other in pairwise(net)
    }
    assert (Pool, Pool) not in pairs
    assert (FC, Conv) not in pairs
    assert any(net == (SM(10),) or len(net) == 2 for net in nets)
    assert (FC, GAP) not in pairs
    assert max(len(net) for net in nets if GAP(10) in net) == 12 + 1, "GAP counts as a layer"
    never = [row for row in recorded() if row["iter_best_val"] == "0.0"]
    assert {row["accuracy_best_val"] for row in never} == {"0.1"}
    assert 0.3 < len(never) / 300 < 0.6


# Learning: equation 3, section 4.2, with the paper's numbers.


def test_the_update_equation_against_a_trace_by_hand(svhn: Cnn) -> None:
    """alpha 0.01, gamma 1, Q 0.5: [C(64,3,1), P(2,2), SM(10)] at 0.9, twice, and then one that shares its beginning."""
    agent = Agent(svhn, QTable(), replay_draws=0)

    def values(net: str) -> list[float]:
        walked = agent.space.walk(net)
        return [agent.q_table.values(state.key, (layer,))[0] for state, layer in walked]

    def update(net: str, reward: float) -> None:
        agent.q_table.update(agent.transitions(net), reward)

    first, second = "[C(64,3,1), P(2,2), SM(10)]", "[C(64,3,1), SM(10)]"
    update(first, 0.9)
    # Last transition first: SM 0.99 * 0.5 + 0.01 * 0.9 = 0.504; the best after the pool is then 0.504, and so on.
    assert values(first) == pytest.approx([0.5000004, 0.50004, 0.504], abs=1e-12)
    update(first, 0.9)
    # SM 0.99 * 0.504 + 0.009 = 0.50796; P 0.99 * 0.50004 + 0.0050796 = 0.5001192; C likewise 0.500001588
    assert values(first) == pytest.approx([0.500001588, 0.5001192, 0.50796], abs=1e-12)
    update(second, 0.1)
    # SM after C: 0.99 * 0.5 + 0.001 = 0.496. C does not follow it down: its best move is still the pool, 0.5001192.
    assert values(second) == pytest.approx([0.99 * 0.500001588 + 0.01 * 0.5001192, 0.496], abs=1e-12)


def test_the_key_of_a_pool_carries_the_size_before_it(svhn: Cnn) -> None:
    walked = svhn.walk("[C(64,3,1), P(5,3), C(64,1,1), P(2,2), SM(10)]")
    assert [state.key.size for state, layer in walked if isinstance(layer, Pool)] == [8, 8]
    assert at(svhn, "C(64,3,1), P(5,3), C(64,1,1), P(2,2)").key.size == 4


def test_the_schedule_of_table_2() -> None:
    state = RunState(preset("svhn"))
    trained = Counter[float | None]()
    for _ in range(2700):
        trained[state.epsilon] += 1
        state.unique += 1
    assert trained == {1.0: 1500, 0.9: 100, 0.8: 100, 0.7: 100, **dict.fromkeys((0.6, 0.5, 0.4, 0.3, 0.2, 0.1), 150)}


def test_a_hundred_draws_follow_each_presentation_and_a_resampled_net_weighs_more(svhn: Cnn) -> None:
    state = RunState(preset("svhn"))
    net = "[C(64,3,1), SM(10)]"
    state.apply(Proposed(step=0, epsilon=1.0, net=net, trial="0" * 12))
    assert sum(entry.updates for entry in state.agent.q_table) == 0
    state.apply(Proposed(step=1, epsilon=1.0, net=net, trial="0" * 12))
    assert (state.told, len(state.agent.replay)) == (0, 0), "in flight: the visit is remembered"
    told = Told(
        at="", trial="0" * 12, attempt=1, status="completed", reward=0.9, params=0, macs=0, seconds=0.0, device=""
    )
    state.apply(told)
    assert (state.told, state.unique) == (2, 1), "and told when it ends"
    assert sum(entry.updates for entry in state.agent.q_table) == 2 * 100 * 2
    state.apply(Proposed(step=2, epsilon=1.0, net=net, trial="0" * 12))
    assert (state.told, state.unique, len(state.in_flight)) == (3, 1, 0), "known: presented again, not trained again"
    assert list(state.agent.replay) == [(net, 0.9)] * 3


def test_epsilon_greedy_explores_over_all_moves_and_breaks_ties_uniformly(svhn: Cnn) -> None:
    """Chi-square over the fourteen first moves, all at 0.5, at both ends of the schedule; 0.1 % of honest agents."""
    for epsilon in (1.0, 0.1):
        agent, rng = Agent(svhn, QTable()), Random(8)
        counts = Counter(parse_net(agent.propose(epsilon, rng))[0] for _ in range(7_000))
        assert len(counts) == 14
        assert sum((count - 500) ** 2 / 500 for count in counts.values()) < 34.6
