"""A run that begins with what another one's agent was told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from metaqnn_orch.control import snapshot
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.warm_start import recall
from metaqnn_orch.errors import BadInput, NotFound, RunConflict
from metaqnn_orch.search.replay import ReplayMemory
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import ScriptedLauncher, Session, settings


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """With the run `test`, of twelve nets."""
    store = DirectoryStore(tmp_path / "store")
    Session(store, settings()).run_to_end()
    return store


def warm(**changes: object) -> Settings:
    return settings(warm_start={"run": "test", "weight": 0.25}, **changes)


def begun(store: DirectoryStore, chosen: Settings) -> Session:
    """The run `new`, its first entry written as the command line does it."""
    session = Session(store, chosen, run="new")
    session.open()
    if session.state.recalled is None:
        event = recall(store, "new", chosen, rehearsal=False)
        assert event is not None
        session.journal.append([event])
        session.state.apply(event)
    return session


def test_the_agent_begins_with_the_others_beliefs(store: DirectoryStore) -> None:
    session, cold = begun(store, warm()), RunState(settings())
    assert session.state.recalled is not None
    assert session.state.recalled.run == "test"
    assert len(session.state.recalled.rows) >= 12
    assert session.state.agent.q_table.digest() != cold.agent.q_table.digest()
    assert (session.state.told, session.state.unique, session.state.trials) == (0, 0, {}), "but nothing is trained"
    assert len(session.state.agent.replay) == 0


def test_its_first_choices_are_no_longer_ties(store: DirectoryStore) -> None:
    agent = begun(store, warm()).state.agent
    layers = agent.space.legal(agent.space.start)
    assert len(agent.best(agent.space.start)) < len(layers)


def test_it_folds_and_resumes_like_every_run(store: DirectoryStore) -> None:
    twin = begun(store, warm())
    twin.search(ScriptedLauncher(store, parallel=1))
    folded = RunState(warm())
    for event in Journal(store, "new").read():
        folded.apply(event)
    assert folded.agent.q_table.digest() == twin.state.agent.q_table.digest()
    entry = b"the last entry"
    again = snapshot.decode(snapshot.encode(twin.state, entry), entry, warm())
    assert again is not None
    assert again.recalled == twin.state.recalled
    assert again.agent.q_table.digest() == twin.state.agent.q_table.digest()
    for state in (again, twin.state):
        state.agent.replay_once(Random(1))
    assert again.agent.q_table.digest() == twin.state.agent.q_table.digest(), "the memory came back too"


def test_the_other_run_may_go_on_or_away(store: DirectoryStore) -> None:
    begun(store, warm())
    for entry in list(store.list("runs/test/")):
        store.delete(entry.key)
    session = begun(store, warm())
    assert session.state.recalled is not None


def test_each_row_of_the_other_is_drawn_as_often_as_its_weight_says() -> None:
    memory = ReplayMemory()
    for number in range(4):
        memory.remember(f"own {number}", 0.5)
    memory.recall([(f"other {number}", 0.5) for number in range(8)], 0.25)
    drawn = Counter(net for net, _ in memory.draw(60_000, Random(0)))
    own = [drawn[f"own {number}"] for number in range(4)]
    other = [drawn[f"other {number}"] for number in range(8)]
    assert sum(own) + sum(other) == 60_000
    assert own == pytest.approx([10_000] * 4, rel=0.05)
    assert other == pytest.approx([2_500] * 8, rel=0.1)


def test_nets_of_another_space_are_left_out_and_classes_replaced(store: DirectoryStore) -> None:
    shallow = warm(space__max_layers=1, space__classes=3)
    event = recall(store, "new", shallow, rehearsal=False)
    assert event is not None
    assert event.refused > 0
    assert all(net.endswith("SM(3)]") for net, _ in event.rows)
    assert (
        settings(space__classes=100).state_space().adapted("[FC(32), GAP(10), SM(10)]") == "[FC(32), GAP(100), SM(100)]"
    )


def test_what_cannot_be_begun_with(store: DirectoryStore) -> None:
    assert recall(store, "new", settings(), rehearsal=False) is None
    with pytest.raises(BadInput, match="cannot start from its own results"):
        recall(store, "test", warm(), rehearsal=False)
    with pytest.raises(NotFound, match="no run 'nobody'"):
        recall(store, "new", settings(warm_start={"run": "nobody"}), rehearsal=False)
    other = Session(store, settings(), run="empty")
    other.open()
    with pytest.raises(BadInput, match="run empty has not trained any net yet"):
        recall(store, "new", settings(warm_start={"run": "empty"}), rehearsal=False)
    rehearsed = other.record.model_copy(update={"table": "table.csv"})
    store.put("runs/empty/run.json", encode(rehearsed))
    with pytest.raises(RunConflict, match="run 'empty' is a rehearsal"):
        recall(store, "new", settings(warm_start={"run": "empty"}), rehearsal=False)
