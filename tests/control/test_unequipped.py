"""A trainer that lacks what every net of the run needs, as an image without the plug-in does, costs no net for good."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from metaqnn_orch.control.brake import HOPELESS_ATTEMPTS, LAST_PROBES
from metaqnn_orch.control.surroundings import Outcome
from metaqnn_orch.errors import RunFailed
from metaqnn_orch.launchers.base import Observation, Phase
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.test_brake import Broken, settings
from tests.control.test_loop import crash_first
from tests.control.world import Leap, ScriptedLauncher, Session, deliver


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return DirectoryStore(tmp_path / "store", durable=False)


def states(session: Session) -> dict[str, str]:
    return {name: trial.state for name, trial in session.state.trials.items()}


@pytest.mark.parametrize("parallel", [1, 2, 3, 8])
def test_a_new_run_stops_and_goes_on_with_the_same_nets(store: Store, parallel: int) -> None:
    first = Session(store, settings())
    with pytest.raises(RunFailed, match="and none was trained; the last one: unequipped as told") as failed:
        first.run_to_end(crash_first(99, Phase.UNEQUIPPED), parallel)
    assert f"metaqnn-orch resume test --store {store.uri}" in failed.value.hint
    asked = states(first)
    assert set(asked.values()) == {"in_flight"}
    assert first.state.disruptions == -(-HOPELESS_ATTEMPTS // parallel) * parallel, "whole rounds"
    again = Session(store, settings(), "two")
    with pytest.raises(RunFailed):
        again.run_to_end(crash_first(99, Phase.UNEQUIPPED), parallel)
    assert again.state.disruptions <= first.state.disruptions + parallel, "it is known already"
    mended = Session(store, settings(), "three")
    assert mended.run_to_end(deliver, parallel) is Outcome.GOAL
    assert (mended.state.unique, mended.state.abandoned, mended.state.attempts_lost) == (12, 0, 0)
    assert {name: states(mended)[name] for name in asked} == dict.fromkeys(asked, "completed")


class Leftovers(ScriptedLauncher):
    """A cluster in which attempts of the session before, with the image of then, have just ended."""

    outlives_us = True

    def __init__(self, store: Store, left: Mapping[str, int]) -> None:
        super().__init__(store, deliver, parallel=8)
        self._known = {
            trial: Observation(attempt, Phase.UNEQUIPPED, "the old image") for trial, attempt in left.items()
        }


def test_what_the_image_before_left_behind_does_not_stop_the_next_session(store: Store) -> None:
    first = Session(store, settings())
    with pytest.raises(RunFailed):
        first.run_to_end(crash_first(99, Phase.UNEQUIPPED), parallel=8)
    left = {name: trial.attempt for name, trial in first.state.in_flight.items()}
    later = Session(store, settings(), "two")
    later.open()
    assert later.search(Leftovers(store, left)) is Outcome.GOAL
    assert (later.state.unique, later.state.abandoned) == (12, 0)


def test_without_a_brake_it_stops_a_run_that_has_trained_too(store: Store) -> None:
    session = Session(store, settings(execution__brake_after=0))
    with pytest.raises(
        RunFailed,
        match="wrong, or missing, in the last 3 attempts; the last one",
    ):
        session.run_to_end(Broken(Phase.UNEQUIPPED, until=99), parallel=1)
    assert (session.state.unique, session.state.abandoned) == (2, 0)


def test_however_long_it_lasts_no_net_is_blamed(store: Store) -> None:
    """The last nets of a run: no other is left to try it with."""
    session = Session(store, settings(), clock=Leap(span=10))
    long = Broken(Phase.UNEQUIPPED, since=10, until=10 + 3 * LAST_PROBES)
    assert session.run_to_end(long, parallel=2) is Outcome.GOAL
    assert (session.state.unique, session.state.abandoned, session.state.attempts_lost) == (12, 0, 0)
    assert any("install what is missing where trainers run" in trouble for trouble in session.troubles)


def test_on_one_node_of_many_it_has_an_end(store: Store) -> None:
    """Others deliver in between, so the image is not everywhere the same, or this net is unlike the others."""
    unlucky: list[str] = []

    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        unlucky[:] = unlucky or [request.trial]
        return Phase.UNEQUIPPED if request.trial in unlucky else deliver(store, request, attempt)

    session = Session(store, settings(execution__free_attempts=2, execution__retries=1), clock=Leap())
    assert session.run_to_end(behaviour, parallel=4) is Outcome.GOAL
    assert session.state.unique == 12
    assert session.state.trials[unlucky[0]].attempt <= 2 + 2 + LAST_PROBES
