"""The authors' record becomes a run that is like any other, however often the import is cut short."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from metaqnn_orch.control.holder import this_process
from metaqnn_orch.control.record import load_record
from metaqnn_orch.control.replay_import import import_run
from metaqnn_orch.control.resume import resume
from metaqnn_orch.control.state import RunState
from metaqnn_orch.errors import RunConflict, RunHeld
from metaqnn_orch.replay.database import Replay, read_replay
from metaqnn_orch.replay.format import COLUMNS
from metaqnn_orch.search.agent import Agent
from metaqnn_orch.search.q_table import QTable
from metaqnn_orch.settings.values import parse_settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.spaces.cnn.layer import describe, total_cost
from metaqnn_trainer.spaces.cnn.notation import parse_net
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.fatal_store import FatalStore, SimulatedKill

SVHN = parse_settings(
    {
        "dataset": {"name": "svhn"},
        "space": {"image_size": 32, "channels": 3, "classes": 10},
        "agent": {"replay_draws": 5},
    }
)
FIRST, SECOND, THIRD = "[C(64,3,1), SM(10)]", "[C(64,3,1), P(2,2), D(1,1), SM(10)]", "[C(128,1,1), GAP(10), SM(10)]"


def line(net: str, accuracy: object, update: object, epsilon: object = 1.0, **cells: object) -> dict[str, object]:
    return {
        **dict.fromkeys(COLUMNS, -1.0),
        "net": net,
        "accuracy_best_val": accuracy,
        "iter_best_val": 100.0,
        "ix_q_value_update": update,
        "epsilon": epsilon,
        "time_finished": 1_480_000_000.5,
        "machine_run_on": "gpu-7",
        **cells,
    }


def file_of(lines: Iterable[dict[str, object]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().encode()


GOOD = file_of([line(SECOND, 0.6, 2), line(FIRST, 0.5, 1), line(FIRST, 0.5, 3, 0.9), line(THIRD, 0.1, 4, 0.9)])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return DirectoryStore(tmp_path / "store")


def replay_of(data: bytes = GOOD) -> Replay:
    return read_replay(data, "theirs.csv", SVHN)


def bring_in(store: Store, replay: Replay | None = None, session: str = "one") -> RunState:
    me = this_process(session, "now")
    return import_run(store, "test", SVHN, replay or replay_of(), me, version="0", uid="0" * 32)


def test_presentations_are_told_in_the_order_of_their_updates(store: Store) -> None:
    state = bring_in(store)
    first, second, third = state.trials.values()
    assert [trial.net for trial in state.trials.values()] == [
        FIRST,
        "[C(64,3,1), P(2,2), SM(10)]",
        THIRD,
    ]
    assert list(state.agent.replay) == [(first.net, 0.5), (second.net, 0.6), (first.net, 0.5), (third.net, 0.1)]
    assert (state.told, state.unique, first.samplings, second.samplings) == (4, 3, 2, 1)
    assert (first.epsilon, third.epsilon) == (1.0, 0.9)
    assert (first.device, first.attempt, first.seconds) == ("gpu-7", 0, 0.0)
    cost = total_cost(describe(parse_net(FIRST), SVHN.state_space().start.shape))
    assert (first.params, first.macs) == cost
    assert state.best is second


def test_the_agent_has_learned_what_it_would_have_learned_itself(store: Store) -> None:
    """Told by hand, in the same order, with the randomness that a run has."""
    agent = Agent(SVHN.state_space(), QTable(), replay_draws=5)
    nets = [(FIRST, 0.5), ("[C(64,3,1), P(2,2), SM(10)]", 0.6), (FIRST, 0.5), (THIRD, 0.1)]
    for told, (net, accuracy) in enumerate(nets):
        agent.learn(net, accuracy, Random(f"0/replay/{told}"))
    assert bring_in(store).agent.q_table.digest() == agent.q_table.digest()


def test_whoever_reads_the_run_finds_the_same_state(store: Store) -> None:
    state = bring_in(store)
    record = load_record(store, "test")
    assert record.is_open
    assert record.imported is not None
    assert (record.imported.file, record.imported.rows, record.imported.refused) == ("theirs.csv", 4, 0)
    for entry in [*store.list(keys.snapshots("test"))]:
        again, journal = resume(store, record, record.settings_as_run())
        assert journal.position == 1, "all of it is one entry: there is no half of an import"
        assert again.agent.q_table.digest() == state.agent.q_table.digest()
        assert again.trials == state.trials
        store.delete(entry.key)
    again, _ = resume(store, record, record.settings_as_run())
    assert again.agent.q_table.digest() == state.agent.q_table.digest()


def test_a_net_that_never_learned_is_untrainable(store: Store) -> None:
    lines = [line(FIRST, 0.1, 1, iter_best_val=0.0), line(SECOND, 0.1, 2), line(THIRD, 0.2, 3, iter_best_val=0.0)]
    state = bring_in(store, replay_of(file_of(lines)))
    assert [trial.state for trial in state.trials.values()] == ["untrainable", "completed", "completed"]


def test_two_columns_are_enough(store: Store) -> None:
    """The rows are then told in their order, and the Q-table is that of a file with numbers."""
    data = f'net,accuracy_best_val\n"{THIRD}",0.1\n"{FIRST}",0.5\n"{THIRD}",0.1\n'.encode()
    state = bring_in(store, replay_of(data))
    third, _ = state.trials.values()
    assert (third.net, third.state, third.device, third.epsilon, third.samplings) == (THIRD, "completed", "", None, 2)
    numbered = file_of([line(THIRD, 0.1, 1), line(FIRST, 0.5, 2), line(THIRD, 0.1, 3)])
    me = this_process("one", "now")
    other = import_run(store, "other", SVHN, replay_of(numbered), me, version="0", uid="0" * 32)
    assert other.beliefs() == state.beliefs()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_cut_short_at_every_call_the_same_import_completes_it(tmp_path: Path, after: bool) -> None:
    whole = bring_in(DirectoryStore(tmp_path / "whole"))
    call, finished = 0, False
    while not finished:
        call += 1
        store = DirectoryStore(tmp_path / f"{call}")
        try:
            bring_in(FatalStore(store, call, after))
            finished = True
        except SimulatedKill:
            with suppress(RunConflict):  # where it was complete already
                bring_in(store, session="two")
        record = load_record(store, "test")
        state, _ = resume(store, record, record.settings_as_run())
        assert state.agent.q_table.digest() == whole.agent.q_table.digest()
        assert state.trials == whole.trials
    assert call > 6


def test_while_it_is_cut_short_nothing_else_goes_on_with_it(store: Store) -> None:
    with pytest.raises(SimulatedKill):
        bring_in(FatalStore(store, 1, after=True))
    record = load_record(store, "test")
    with pytest.raises(RunConflict, match="was interrupted") as caught:
        resume(store, record, record.settings_as_run())
    assert "import-replay" in caught.value.hint
    with pytest.raises(RunConflict, match="exists"):
        bring_in(store, replay_of(file_of([line(FIRST, 0.5, 1)])))
    other, me = SVHN.model_copy(update={"seed": 1}), this_process("two", "now")
    with pytest.raises(RunConflict, match="exists, but with other settings"):
        import_run(store, "test", other, replay_of(), me, version="0", uid="0" * 32)


def test_of_two_at_once_one_is_told_that_it_came_late(store: Store) -> None:
    def one(number: int) -> bool:
        try:
            bring_in(store, session=f"session-{number}")
        except (RunConflict, RunHeld):
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(one, range(4))) == 1
    record = load_record(store, "test")
    state, journal = resume(store, record, record.settings_as_run())
    assert (journal.position, state.told) == (1, 4)


def test_a_run_that_exists_is_left_alone(store: Store) -> None:
    state = bring_in(store)
    before = {entry.key: store.get(entry.key) for entry in store.list("")}
    with pytest.raises(RunConflict, match="a run 'test' exists"):
        bring_in(store)
    assert {entry.key: store.get(entry.key) for entry in store.list("")} == before
    assert state.told == 4
