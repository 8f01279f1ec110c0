"""What the journal tells of endings and of attempts that came to nothing."""

from __future__ import annotations

from pathlib import Path

from metaqnn_orch.control.events import Opened
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.reporting.history import read_best, read_history
from metaqnn_trainer.contract import keys
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Session, settings
from tests.reporting.runs import POISON, START, write_run


def test_endings_and_troubles_in_the_order_of_the_journal(store: Store) -> None:
    view = write_run(store, 6)
    history = read_history(store, view)
    assert [item.trial.state for item in history.ended] == ["too_large", "untrainable", *["completed"] * 4]
    assert [item.reward for item in history.ended] == [item.trial.val_accuracy for item in history.ended]
    assert (history.ended[0].at, history.ended[0].seconds) != (START, 0.0)
    assert [(trouble.attempt, trouble.kind) for trouble in history.troubles] == [
        (1, "disrupted"),
        (2, "crashed"),
        (3, "crashed"),
        (4, "crashed"),
    ]
    assert {trouble.detail for trouble in history.troubles} == {POISON}
    assert history.sessions == 1


def test_what_happened_after_the_view_is_left_out(store: Store) -> None:
    view = write_run(store, 4)
    later = Journal(store, "test", "t")
    list(later.read())
    later.append([Opened(at="later", session="t", owner="another", version="0", goal=9)])
    assert read_history(store, view).sessions == 1
    assert read_history(store, view._replace(position=view.position + 1)).sessions == 2


def test_a_time_that_is_none_is_none(store: Store) -> None:
    session = Session(store, settings())  # its clock says "now"
    session.run_to_end()
    view = write_run(DirectoryStore(Path(store.uri) / "other"), 2)._replace(record=session.record, state=session.state)
    history = read_history(store, view._replace(position=session.journal.position))
    assert [item.at for item in history.ended] == [None] * 12


def test_the_best_result_or_none(store: Store) -> None:
    view = write_run(store, 4)
    assert read_best(store, view) is None
    assert view.state.best is not None
    store.put(keys.result("test", view.state.best.trial), b"{}")
    assert read_best(store, view) is None
    session = Session(store, settings(), run="real")
    session.run_to_end()
    best = read_best(store, view._replace(record=session.record, state=session.state))
    assert best is not None
    assert session.state.best is not None
    assert best.val_accuracy == session.state.best.val_accuracy
