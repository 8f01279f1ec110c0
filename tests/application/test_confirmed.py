"""Which nets and weights are handed over after a confirmation, and which weights stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaqnn_orch.api import Search
from metaqnn_orch.application.exports import choose
from metaqnn_orch.application.finalists import candidates, weights_of
from metaqnn_orch.application.retraining import again
from metaqnn_orch.control.confirmation import is_unconfirmed, progress
from metaqnn_orch.control.retention import Removed, best_kept
from metaqnn_orch.control.surroundings import Outcome, Stop
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.reporting.summary import RunView, read_run
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.confirming import REPEATS, TOP, OneWasLucky, confirming, the_lucky_one, unlucky
from tests.control.test_retention import with_weights
from tests.control.world import Session


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store", durable=False)


def best_of(view: RunView) -> Trial:
    assert view.state.best is not None
    return view.state.best


def test_the_best_training_of_the_best_net_is_exported(store: DirectoryStore) -> None:
    session = unlucky(store)
    view = read_run(store, "test")
    best = best_of(view)
    chosen = view.state.trials[choose(store, view, None)]
    assert chosen.confirms == best.trial
    assert chosen.reward == max(trial.reward or 0.0 for trial in best.trainings)
    assert choose(store, view, the_lucky_one(session).trial) == the_lucky_one(session).trial, "who names one gets it"


def test_where_its_weights_were_removed_the_next_best_is(store: DirectoryStore) -> None:
    unlucky(store)
    view = read_run(store, "test")
    first, second, *_ = best_of(view).trainings
    store.put(keys.removed("test", first.trial), encode(Removed(at="now", by="a test")))
    assert best_kept(store, "test", best_of(view)).trial == second.trial
    assert choose(store, view, None) == second.trial


def test_finals_begin_with_the_nets_of_the_highest_means(store: DirectoryStore) -> None:
    session = unlucky(store)
    view = read_run(store, "test")
    nets = candidates(view, 2)
    assert nets[0] == best_of(view).net
    assert the_lucky_one(session).net not in nets
    assert len({*candidates(view, 100)}) == view.state.unique
    found = weights_of(store, view, nets)
    assert [weights.trial for weights in found] == [view.state.by_net[net].trainings[0].trial for net in nets]


def test_a_repetition_can_be_trained_again(store: DirectoryStore) -> None:
    unlucky(store)
    view = read_run(store, "test")
    repetition = best_of(view).confirmations[0]
    made = again(view, [repetition.trial], store.uri)
    assert made.nets == (repetition.net,)
    assert made.changes == (repetition.recipe,)
    assert made.confirm.top == 0, "a list of nets is not confirmed"


def test_the_best_net_keeps_the_weights_of_all_that_confirmed_it(store: DirectoryStore) -> None:
    """Its first weights went when another net seemed better: so one of the others is exported."""
    session = unlucky(store, execution__keep_weights="best 1")
    view = RunView(session.record, session.state, session.journal.position)
    best = best_of(view)
    assert with_weights(store) == {trial.trial for trial in best.confirmations}
    assert choose(store, view, None) in with_weights(store)
    assert [weights.trial for weights in weights_of(store, view, [best.net])] == [choose(store, view, None)]


def test_of_several_nets_all_trainings_keep_them(store: DirectoryStore) -> None:
    session = unlucky(store, execution__keep_weights=f"best {TOP}")
    best = session.state.ranking()[:TOP]
    assert with_weights(store) == {one.trial for trial in best for one in (trial, *trial.confirmations)}


def test_while_it_goes_on_nothing_of_the_list_is_removed(store: DirectoryStore) -> None:
    session = Session(store, confirming(execution__keep_weights="best 1"))
    session.stop = lambda: Stop.NOW if (progress(session.state) or (0, 0))[0] >= TOP else Stop.NO
    assert session.run_to_end(OneWasLucky(), parallel=1) is Outcome.INTERRUPTED
    ended = {trial.trial for trial in session.state.trials.values() if trial.confirms and trial.was_trained}
    assert len(ended) == TOP
    assert ended <= with_weights(store)
    assert is_unconfirmed(session.state)


def test_python_sees_the_same_best(store: DirectoryStore) -> None:
    unlucky(store)
    view = read_run(store, "test")
    search = Search("test", store.uri)
    assert search.best is not None
    assert search.best.trial == best_of(view).trial == search.leaderboard(1)[0].trial
    assert f"best {best_of(view).worth:.4f} (mean of {1 + REPEATS})" in repr(search)
    assert not is_unconfirmed(view.state)
