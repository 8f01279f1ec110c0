from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.search.agent import Agent
from metaqnn_orch.search.q_table import QTable, Transition
from metaqnn_trainer.spaces.cnn.layer import Layer, StateKey
from metaqnn_trainer.spaces.cnn.layers.conv import Conv
from metaqnn_trainer.spaces.cnn.layers.softmax import SM
from metaqnn_trainer.spaces.cnn.space import Cnn
from tests.search.spaces import TINY

START = StateKey("start", 0, 0, 0, 0, 8, 0, 0)
AFTER_A = StateKey("C", 1, 64, 3, 1, 8, 0, 0)
A, B, END = Conv(64, 3), Conv(128, 3), SM(10)
MOVES: tuple[Layer, ...] = (A, B, END)

Step = tuple[StateKey, Layer]


def trajectory(table: QTable, *steps: Step, moves: tuple[Layer, ...] = MOVES) -> list[Transition]:
    following = [table.select(state, moves) for state, _ in steps[1:]]
    return [
        Transition(table.place(state, layer), select)
        for (state, layer), select in zip(steps, [*following, None], strict=True)
    ]


def test_an_unknown_value_is_the_initial_one() -> None:
    assert QTable().values(START, MOVES) == (0.5, 0.5, 0.5)
    assert QTable(initial=0.25).values(START, MOVES) == (0.25, 0.25, 0.25)
    assert QTable().updates(START, A) == 0
    assert list(QTable()) == []


def test_the_update_equation_by_hand() -> None:
    """start -A-> a -SM-> end, reward 0.9, alpha 0.1, gamma 1.

    Last first: Q(a,SM) = 0.9*0.5 + 0.1*0.9 = 0.54. Then the best in a is that 0.54: Q(start,A) = 0.9*0.5 + 0.1*0.54
    = 0.504. Once more: Q(a,SM) = 0.9*0.54 + 0.09 = 0.576; Q(start,A) = 0.9*0.504 + 0.0576 = 0.5112.
    """
    table = QTable(learning_rate=0.1)
    steps = trajectory(table, (START, A), (AFTER_A, END))
    table.update(steps, 0.9)
    assert table.values(AFTER_A, MOVES) == pytest.approx((0.5, 0.5, 0.54), abs=1e-15)
    assert table.values(START, MOVES) == pytest.approx((0.504, 0.5, 0.5), abs=1e-15)
    table.update(steps, 0.9)
    assert table.values(AFTER_A, MOVES) == pytest.approx((0.5, 0.5, 0.576), abs=1e-15)
    assert table.values(START, MOVES) == pytest.approx((0.5112, 0.5, 0.5), abs=1e-15)
    assert table.updates(START, A) == table.updates(AFTER_A, END) == 2
    assert table.updates(START, B) == 0


def test_the_papers_numbers_by_hand() -> None:
    """alpha 0.01: 0.99*0.5 + 0.01*0.9 = 0.504; 0.99*0.5 + 0.01*0.504 = 0.50004."""
    table = QTable()
    table.update(trajectory(table, (START, A), (AFTER_A, END)), 0.9)
    assert table.values(AFTER_A, (END,))[0] == pytest.approx(0.504, abs=1e-15)
    assert table.values(START, (A,))[0] == pytest.approx(0.50004, abs=1e-15)


def test_a_low_reward_does_not_pull_down_what_a_better_move_promises() -> None:
    """The target is the best move of the next state, not the one that was taken: 0.9*0.5 + 0.1*max(0.5, 0.45) = 0.5."""
    table = QTable(learning_rate=0.1)
    table.update(trajectory(table, (START, A), (AFTER_A, END)), 0.0)
    assert table.values(AFTER_A, MOVES) == pytest.approx((0.5, 0.5, 0.45), abs=1e-15)
    assert table.values(START, MOVES)[0] == pytest.approx(0.5, abs=1e-15)
    # Where the bad move is the only one, it does.
    alone = QTable(learning_rate=0.1)
    alone.update(trajectory(alone, (START, A), (AFTER_A, END), moves=(END,)), 0.0)
    assert alone.values(START, (A,))[0] == pytest.approx(0.495, abs=1e-15)


def test_the_last_transition_goes_first() -> None:
    """Forwards, the first move would see the old 0.5 and stay there."""
    table = QTable(learning_rate=0.1)
    first, last = trajectory(table, (START, A), (AFTER_A, END))
    table.update([first], 0.9)  # what a forward pass would do with the first transition
    forwards = table.values(START, (A,))[0]
    assert forwards == pytest.approx(0.5, abs=1e-15)
    backwards = QTable(learning_rate=0.1)
    backwards.update(trajectory(backwards, (START, A), (AFTER_A, END)), 0.9)
    assert backwards.values(START, (A,))[0] > forwards
    assert last.next_values is None


def test_discount() -> None:
    """gamma 0.5: 0.9*0.5 + 0.1*0.5*0.54 = 0.477."""
    table = QTable(learning_rate=0.1, discount=0.5)
    table.update(trajectory(table, (START, A), (AFTER_A, END)), 0.9)
    assert table.values(START, (A,))[0] == pytest.approx(0.477, abs=1e-15)


def test_a_certain_reward_is_approached_and_never_passed() -> None:
    table = QTable()
    steps = trajectory(table, (START, A), (AFTER_A, END))
    before = table.values(START, (A,))[0]
    for _ in range(2000):
        table.update(steps, 0.9)
        now = table.values(START, (A,))[0]
        assert before <= now <= 0.9
        before = now
    assert before == pytest.approx(0.9, abs=1e-3)


def test_rows_for_people_hold_what_was_updated() -> None:
    table = QTable(learning_rate=0.1)
    table.values(START, MOVES)
    table.update(trajectory(table, (AFTER_A, END)), 1.0)
    (row,) = table
    assert (row.state, row.move, row.updates) == (AFTER_A, END, 1)
    assert row.value == pytest.approx(0.55)


def test_a_single_move_has_one_value_that_matters() -> None:
    table = QTable(learning_rate=0.1)
    table.update(trajectory(table, (START, END)), 1.0)
    assert set(table.values(START, (END,))) == {table.values(START, (END, A))[0]}


rewards = st.floats(0, 1)


@given(st.lists(rewards, max_size=6), st.lists(rewards, max_size=6))
def test_equal_digests_mean_equal_values(one: list[float], other: list[float]) -> None:
    tables = []
    for told in (one, other):
        table = QTable()
        for reward in told:
            table.update(trajectory(table, (START, A), (AFTER_A, END)), reward)
        tables.append(table)
    values = [{(row.state, row.move): row.value for row in table} for table in tables]
    assert (tables[0].digest() == tables[1].digest()) == (values[0] == values[1])


def test_neither_looking_nor_order_of_places_changes_the_digest() -> None:
    plain, looked_at = QTable(), QTable()
    looked_at.values(AFTER_A, (END, B, A))
    looked_at.place(START, B)
    for table in (plain, looked_at):
        table.update(trajectory(table, (START, A), (AFTER_A, END)), 0.9)
    assert plain.digest() == looked_at.digest()
    assert plain.digest() != QTable().digest()


def test_one_last_bit_changes_the_digest() -> None:
    exact, off = QTable(initial=0.0, learning_rate=1.0), QTable(initial=0.0, learning_rate=1.0)
    exact.update(trajectory(exact, (START, END)), 0.3)
    off.update(trajectory(off, (START, END)), 0.1 + 0.2)
    assert exact.digest() != off.digest()


def test_the_same_search_has_the_same_digest_in_every_process() -> None:
    """Hashes of text differ from process to process; nothing learned may depend on them."""
    program = (
        "from tests.search.test_q_table import searched; import sys; sys.stdout.write(searched().q_table.digest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout.decode()
        for seed in ("1", "2")
    }
    assert digests == {searched().q_table.digest()}


def test_what_a_search_learns_never_drifts() -> None:
    """Golden: a run is resumed by telling it again, and must then believe what it believed before, to the last bit."""
    assert searched().q_table.digest() == "e273c584ba17135df09c30afc0357cea6c8ae0e07a648e21056d9bc0c6776c44"


def searched() -> Agent:
    agent, rng = Agent(Cnn(replace(TINY, gap_after_fc=True)), QTable()), Random(5)
    for number in range(60):
        net = agent.propose(1 - number / 60, rng)
        agent.learn(net, len(net) / 10, rng)
    return agent
