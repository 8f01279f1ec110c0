"""What explain says is what the agent then does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from metaqnn_orch.control.state import RunState
from metaqnn_orch.errors import BadInput
from metaqnn_orch.reporting.explain import explain
from metaqnn_trainer.spaces.cnn.layers.gap import GAP
from metaqnn_trainer.spaces.cnn.notation import format_net, parse_net, parse_prefix
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Session, accuracy_of, settings
from tests.reporting.runs import write_run_with_stopped_nets

PREFIXES = ["[]", "[C(64,3,1)]", "[C(512,5,1), P(2,2)]", "[C(64,3,1), P(2,2), FC(128)]"]


@pytest.fixture
def state(tmp_path: Path) -> RunState:
    """A run in the middle of its second phase, at epsilon 0.3."""
    session = Session(DirectoryStore(tmp_path), settings(execution__max_trials=9))
    session.run_to_end()
    assert session.state.epsilon == 0.3
    return session.state


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_moves_are_the_legal_ones_and_their_probabilities_sum_to_one(state: RunState, prefix: str) -> None:
    explanation = explain(state, prefix)
    legal = [str(layer) for layer in state.space.legal(state.space.after(prefix))]
    assert sorted(move.layer for move in explanation.moves) == sorted(legal)
    assert sum(move.probability or 0.0 for move in explanation.moves) == pytest.approx(1)
    values = [move.q_value or 0.0 for move in explanation.moves]
    assert values == sorted(values, reverse=True)
    assert [move.is_best for move in explanation.moves] == [value == values[0] for value in values]


def test_no_net_that_was_stopped_early_is_the_best(tmp_path: Path) -> None:
    state = write_run_with_stopped_nets(DirectoryStore(tmp_path)).state
    explanation = explain(state, "[]")
    assert explanation.trained == state.unique
    named = {move.best_trained for move in explanation.moves} - {None}
    assert len(named) > 1
    assert {state.by_net[net].state for net in named if net} == {"completed"}


def test_the_probabilities_are_how_often_the_agent_chooses(state: RunState) -> None:
    """The first layer of many proposals. Chi-square; 0.1 % of honest explanations exceed the bound of 13 degrees."""
    rng, draws = Random(5), 6_000
    chosen = Counter(str(parse_net(state.agent.propose(0.3, rng))[0]) for _ in range(draws))
    moves = explain(state, "[]").moves
    assert set(chosen) <= {move.layer for move in moves}
    assert len(moves) == 14
    expected = {move.layer: draws * (move.probability or 0.0) for move in moves}
    assert sum((chosen[layer] - count) ** 2 / count for layer, count in expected.items()) < 34.6


def test_ties_share_what_is_not_exploration() -> None:
    fresh = explain(RunState(settings()), "[]")
    assert {move.q_value for move in fresh.moves} == {0.5}
    assert {move.updates for move in fresh.moves} == {0}
    assert [move.probability for move in fresh.moves] == pytest.approx([1 / 14] * 14)
    assert "one of the 14 layers" in fresh.choice
    assert "one of the 14 layers that are tied at Q = 0.5000" in fresh.choice
    assert (fresh.trained, fresh.best_trained, fresh.best_accuracy) == (0, None, None)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_completions_are_nets_of_the_space_that_begin_so(state: RunState, prefix: str) -> None:
    for move in explain(state, prefix).moves:
        assert move.completion is not None
        assert state.space.walk(move.completion)
        completion, beginning = parse_net(move.completion), (*parse_prefix(prefix), *parse_prefix(move.layer))
        assert completion[: len(beginning)] == beginning


def test_the_completion_of_the_best_is_the_greedy_net(state: RunState) -> None:
    for _ in range(100):  # until nothing on the way is tied
        state.agent.learn("[C(256,3,1), P(2,2), C(64,3,1), SM(10)]", 1.0, Random(1))
    best, *_ = explain(state, "[]").moves
    assert best.completion == state.agent.propose(0.0, Random(2))
    assert explain(state, "[]").choice.endswith(f"it takes C(256,3,1), the best at Q = {best.q_value:.4f}")


def test_what_was_trained_is_counted_by_its_beginning(state: RunState) -> None:
    whole = explain(state, "[]")
    assert whole.trained == 9
    assert whole.best_trained is not None
    assert state.best is not None
    assert (whole.best_trained, whole.best_accuracy) == (state.best.net, state.best.val_accuracy)
    assert sum(move.trained for move in whole.moves) == 9
    for move in whole.moves:
        here = [net for net in state.by_net if net.startswith((f"[{move.layer},", f"[{move.layer}]"))]
        assert move.trained == len(here)
        assert move.best_accuracy == max(map(accuracy_of, here), default=None)


def test_a_layer_is_not_another_that_is_written_alike() -> None:
    state = RunState(settings(space__convolution={"filters": [6, 64], "kernels": [1]}))
    assert explain(state, "C(6,1,1)").trained == 0


def test_a_whole_net_leaves_no_choice(state: RunState) -> None:
    net = next(iter(state.by_net))
    whole = parse_net(net)
    explanation = explain(state, net)
    assert (explanation.moves, explanation.trained, explanation.best_trained) == ([], 1, net)
    if any(isinstance(layer, GAP) for layer in whole):
        assert explain(state, format_net(whole[:-1])).moves == []
    assert format_net(whole) == explanation.after


@pytest.mark.parametrize("prefix", ["P(2,2)", "SM(11)", "C(64,3,1), C(64,3,1), C(64,3,1), C(64,3,1)"])
def test_a_prefix_that_the_space_does_not_hold(state: RunState, prefix: str) -> None:
    with pytest.raises(BadInput, match="is not in the space of the run: layer"):
        explain(state, prefix)


def test_explaining_changes_nothing(state: RunState) -> None:
    before = state.agent.q_table.digest()
    for prefix in PREFIXES:
        assert explain(state, prefix) == explain(state, prefix)
    assert state.agent.q_table.digest() == before
