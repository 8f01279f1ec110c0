"""Trials that are trained again are the trials that they were."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metaqnn_orch.application.finalists import candidates
from metaqnn_orch.application.retraining import again
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import BadInput, RunConflict
from metaqnn_orch.reporting.summary import RunView
from metaqnn_trainer.contract.messages import WeightsRef
from metaqnn_trainer.store.directory import DirectoryStore
from tests.application.test_finals import searched
from tests.control.world import settings

WEIGHTS = WeightsRef(run="test", trial="1" * 12, sha256="ab" * 32)


@pytest.fixture
def view(store: DirectoryStore) -> RunView:
    return searched(store, settings())


def changed(view: RunView, trial: Trial) -> Trial:
    """The same design, as a searcher may propose it once more."""
    recipe, net = {"learning_rate": 0.5}, trial.net
    spec = view.record.spec(view.state.settings, net, recipe, WEIGHTS)
    other = replace(trial, trial=spec.trial_id(), recipe=recipe, initial=WEIGHTS)
    view.state.trials[other.trial] = other
    return other


def test_with_its_recipe_and_its_weights(view: RunView) -> None:
    first, second, *_ = view.state.ranking()
    other = changed(view, first)
    made = again(view, [second.trial, other.trial], "/runs")
    assert made.nets == (second.net, first.net)
    assert (made.changes, made.initial) == (({}, other.recipe), (None, WEIGHTS))
    state = RunState(made)
    for step, trial in enumerate((second, other)):
        proposal = state.propose(step)
        assert proposal is not None
        assert view.record.spec(made, proposal.design, proposal.recipe).trial_id() == trial.trial


def test_plain_trials_need_no_more_than_their_nets(view: RunView) -> None:
    made = again(view, [trial.trial for trial in view.state.ranking()], "/runs")
    assert (made.changes, made.initial) == ((), ())


def test_two_of_one_design_are_two_runs(view: RunView) -> None:
    first, *_ = view.state.ranking()
    with pytest.raises(BadInput, match="are of one design, "):
        again(view, [first.trial, changed(view, first).trial], "/runs")


def test_other_plug_ins_would_train_others(view: RunView) -> None:
    begun = view.record.model_copy(update={"plugins": {"metaqnn.tasks:balanced": "metaqnn-balanced 0.1.0"}})
    with pytest.raises(RunConflict, match=r"metaqnn\.tasks balanced: metaqnn-balanced 0\.1\.0 -> built in"):
        again(view._replace(record=begun), [view.state.ranking()[0].trial], "/runs")


def test_a_design_is_one_finalist_however_often_it_was_trained(view: RunView) -> None:
    first, second, *_ = view.state.ranking()
    changed(view, first)
    assert candidates(view, 2) == [first.net, second.net]
