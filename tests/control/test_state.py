"""A list of nets in place of a search."""

from __future__ import annotations

import pytest

from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.surroundings import Outcome
from metaqnn_orch.errors import SettingsError
from metaqnn_orch.launchers.base import Phase
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Store
from tests.control.world import Session, deliver, result_for, settings

NETS = ["[SM(10)]", "[C(512,7,1), SM(10)]", "[GAP(10), SM(10)]"]  # the second is not of the space


def test_a_list_is_trained_in_its_order_and_nothing_else(store: Store) -> None:
    session = Session(store, settings(nets=NETS))
    assert session.run_to_end() is Outcome.GOAL
    assert [trial.net for trial in session.state.trials.values()] == NETS
    assert (session.state.unique, session.state.told, session.state.epsilon) == (3, 3, None)
    assert session.state.agent.q_table.digest() == RunState(settings()).agent.q_table.digest(), "nothing is learned"


def test_a_list_goes_on_where_it_was(store: Store) -> None:
    Session(store, settings(nets=NETS, execution__max_trials=1)).run_to_end(parallel=1)
    session = Session(store, settings(nets=NETS), "two")
    assert session.run_to_end(parallel=1) is Outcome.GOAL
    assert [trial.net for trial in session.state.trials.values()] == NETS


def test_a_net_that_cannot_be_trained_ends_the_list_without_it(store: Store) -> None:
    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        return Phase.CRASHED if "GAP" in request.spec.net else deliver(store, request, attempt)

    session = Session(store, settings(nets=NETS))
    assert session.run_to_end(behaviour) is Outcome.EXHAUSTED
    assert (session.state.unique, session.state.abandoned) == (2, 1)
    assert Session(store, settings(nets=NETS), "two").run_to_end(behaviour) is Outcome.EXHAUSTED


@pytest.mark.parametrize(
    ("nets", "says"),
    [
        (["[C(64,3,1), SM(10)]", "[C(64,3,1),SM(10)]"], "one of them is listed twice"),
        (["[P(9,1), SM(10)]"], "does not fit images of"),
        (["[SM(5)]"], "does not end in 10 classes"),
        (["[Q(1), SM(10)]"], "expected a layer"),
    ],
)
def test_a_list_that_cannot_be_trained_is_refused(nets: list[str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        settings(nets=nets)


@pytest.mark.parametrize("nets", [NETS, NETS[::-1]])
def test_the_best_among_equals_is_the_first_of_the_ranking(nets: list[str], store: Store) -> None:
    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        equal = result_for(request, attempt, val_accuracy=0.5)
        store.put_if_absent(keys.result(request.run, request.trial), encode(equal))
        return Phase.DELIVERED

    session = Session(store, settings(nets=nets))
    session.run_to_end(behaviour)
    assert session.state.best is session.state.ranking()[0]
    assert session.state.best.net == "[GAP(10), SM(10)]", "the smallest"
