"""Resuming: the newest usable snapshot, then the journal, and the same state as from the journal alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaqnn_orch.control import snapshot
from metaqnn_orch.control.record import Imported, load_record
from metaqnn_orch.control.resume import resume
from metaqnn_orch.errors import JournalError, RunConflict
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.test_loop import fold
from tests.control.test_snapshot import assert_same, states
from tests.control.world import Session, settings


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = DirectoryStore(tmp_path / "store")
    Session(store, settings()).run_to_end()
    return store


def test_with_a_snapshot_and_without_the_state_is_the_same(store: Store) -> None:
    record, last = load_record(store, "test"), len(states(store))
    for position in range(1, last + 1):
        snapshot.save(store, "test", states(store)[position - 1], position)
        state, journal = resume(store, record, settings())
        assert journal.position == last
        assert state.opened is not None
        assert journal.owner == state.opened.owner
        assert_same(state, fold(store))


def test_what_the_snapshot_covers_is_not_read_again(store: Store) -> None:
    """So it is fast; and an entry that is gone is missed all the same."""
    record, everything = load_record(store, "test"), states(store)
    snapshot.save(store, "test", everything[-2], len(everything) - 1)
    damaged = keys.journal_entry("test", 2)
    store.put(damaged, b"damaged")
    assert_same(resume(store, record, settings())[0], everything[-1])
    store.delete(damaged)
    with pytest.raises(JournalError, match=f"expected {damaged}"):
        resume(store, record, settings())


def test_a_snapshot_of_entries_that_are_gone_is_passed_over(store: Store) -> None:
    record, everything = load_record(store, "test"), states(store)
    snapshot.save(store, "test", everything[-1], len(everything))
    store.delete(keys.journal_entry("test", len(everything)))
    state, journal = resume(store, record, settings())
    assert journal.position == len(everything) - 1
    assert_same(state, states(store)[-1])


def test_a_session_that_begins_at_a_snapshot_ends_like_its_undisturbed_twin(store: Store, tmp_path: Path) -> None:
    longer = settings(schedule__phases=[{"epsilon": 1.0, "unique": 6}, {"epsilon": 0.3, "unique": 20}])
    twin, mine = DirectoryStore(tmp_path / "twin"), DirectoryStore(tmp_path / "mine")
    whole = Session(twin, longer)
    whole.run_to_end(parallel=1)
    short = Session(mine, longer.model_copy(update={"execution": settings(execution__max_trials=9).execution}))
    short.run_to_end(parallel=1)
    snapshot.save(mine, "test", short.state, short.journal.position)
    rest = Session(mine, longer, "two")
    rest.run_to_end(parallel=1)
    assert rest.state.agent.q_table.digest() == whole.state.agent.q_table.digest()
    assert list(rest.state.trials) == list(whole.state.trials)


def test_an_import_that_was_cut_short_is_named(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "cut")
    session = Session(store, settings())
    session.open()
    imported = Imported(file="theirs.csv", sha256="0" * 64, rows=3, refused=0)
    with pytest.raises(RunConflict, match=r"the import of theirs\.csv into run 'test' was interrupted"):
        resume(store, session.record.model_copy(update={"imported": imported}), settings())
