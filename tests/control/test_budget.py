"""A run that may cost so much and no more, and goes on when it may cost more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metaqnn_orch.control.budget import limit, recent_seconds, used
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.surroundings import Outcome
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.numbers import seconds_between
from metaqnn_orch.settings.budget import BudgetSettings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Store
from tests.control.world import ScriptedLauncher, Session, accuracy_of, result_for, settings

MINUTES = 60.0 / 3600


def takes(seconds: float) -> Any:
    """Every trial is trained for so long."""

    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        store.put_if_absent(keys.result(request.run, request.trial), encode(result_for(request, seconds=seconds)))
        return Phase.DELIVERED

    return behaviour


def passes(session: Session, seconds: float) -> Any:
    """The same, and the clock of the session's world shows it."""

    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        session.clock.seconds += seconds
        return takes(seconds)(store, request, attempt)  # type: ignore[no-any-return]

    return behaviour


def clocked(store: Store, name: str = "one", **wanted: object) -> Session:
    """A session whose clock is that of its world; each look at the launcher takes a minute."""
    session = Session(store, settings(execution__poll_seconds=60.0, **wanted), name)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    session.now = lambda: (start + timedelta(seconds=session.clock.seconds)).isoformat()
    return session


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ({"gpu_hours": 5.5 * MINUTES}, "budget.gpu_hours is "),
        (
            {"money": 5.5, "price_per_gpu_hour": 60.0},
            "budget.money is 5.5: 5 are used, and another trial would exceed it",
        ),
    ],
)
def test_no_trial_begins_that_would_go_beyond(store: Store, budget: dict[str, object], says: str) -> None:
    session = Session(store, settings(budget=budget))
    assert session.run_to_end(takes(60.0)) is Outcome.BUDGET
    # Two at a time begin before anything is known; then one more only where it fits.
    assert session.state.unique == 5
    assert session.state.finished is not None
    assert (session.state.finished.reason, session.state.in_flight) == ("budget", {})
    assert says in session.state.finished.detail


def test_a_larger_budget_goes_on_and_ends_like_an_undisturbed_run(store: Store) -> None:
    chosen = {"execution__parallel": 1}
    twin = Session(store, settings(**chosen), run="twin")
    assert twin.run_to_end(takes(60.0), parallel=1) is Outcome.GOAL
    for number, hours in enumerate((3 * MINUTES, 7 * MINUTES, 100 * MINUTES)):
        session = Session(store, settings(budget={"gpu_hours": hours}, **chosen), f"session-{number}")
        outcome = session.run_to_end(takes(60.0), parallel=1)
        assert outcome is (Outcome.GOAL if number == 2 else Outcome.BUDGET)
        assert session.state.unique == (3, 7, 12)[number]
    assert session.state.agent.q_table.digest() == twin.state.agent.q_table.digest()


def test_good_enough_is_good_enough(store: Store) -> None:
    session = Session(store, settings(budget={"target_accuracy": 0.5}))
    assert session.run_to_end() is Outcome.TARGET
    assert session.state.best is not None
    assert session.state.best.val_accuracy == accuracy_of(session.state.best.net) >= 0.5
    assert session.state.unique < 12
    assert session.state.finished is not None
    assert session.state.finished.reason == "target"


def test_time_at_work_counts_and_pauses_do_not(store: Store) -> None:
    budget = {"wall_clock_hours": 4.5 * MINUTES}
    session = clocked(store, budget=budget)
    assert session.run_to_end(passes(session, 30.0), parallel=1) is Outcome.BUDGET
    first = session.state.unique
    assert first == 9
    later = clocked(store, "two", budget={"wall_clock_hours": 5.75 * MINUTES})
    later.clock.seconds = 1e6
    assert later.run_to_end(passes(later, 30.0), parallel=1) is Outcome.BUDGET
    assert later.state.unique == 11
    hours = used(later.state, BudgetSettings(), later.state.heard).wall_clock_hours
    assert hours == pytest.approx(5.5 * MINUTES)


def test_lost_attempts_cost_too(store: Store) -> None:
    class Slow(ScriptedLauncher):
        """Every attempt is seen to run once."""

        looked_at: set[Any] = set()  # noqa: RUF012

        def observe(self) -> Any:
            found = super().observe()
            for trial, ended in found.items():
                if (trial, ended.attempt) not in self.looked_at:
                    self.looked_at.add((trial, ended.attempt))
                    found = {**found, trial: ended._replace(phase=Phase.RUNNING)}
            return found

    def crash_once(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        return Phase.CRASHED if attempt == 1 else takes(1.0)(store, request, attempt)

    session = clocked(store, execution__max_trials=1)
    session.open()
    assert session.search(Slow(store, crash_once, parallel=1)) is Outcome.GOAL
    assert session.state.device_seconds == 61.0
    failed = [event for event in session.events if event.type == "failed"]
    assert [event.seconds for event in failed] == [60.0]


def test_devices_multiply(store: Store) -> None:
    session = Session(store, settings(budget={"gpu_hours": 10.5 * MINUTES}))
    session.open()
    launcher = ScriptedLauncher(store, takes(60.0), parallel=1)
    launcher.devices = 4
    assert session.search(launcher) is Outcome.BUDGET
    assert (session.state.unique, session.state.device_seconds) == (2, 480.0)


def test_an_empty_run_has_used_nothing_and_may_begin() -> None:
    state = RunState(settings())
    assert used(state, BudgetSettings(price_per_gpu_hour=2.0), "") == (0.0, 0.0, 0.0)
    assert used(state, BudgetSettings(), "").money is None
    assert recent_seconds(state) == 0.0
    assert limit(state, BudgetSettings(gpu_hours=1e-9, target=0.0), "") is None


@pytest.mark.parametrize(
    ("earlier", "later", "seconds"),
    [
        ("2026-01-01T00:00:00+00:00", "2026-01-01T00:01:30.5+00:00", 90.5),
        ("2026-01-01T00:01:00+00:00", "2026-01-01T00:00:00+00:00", 0.0),
        ("2026-01-01T00:00:00", "2026-01-01T00:01:00+00:00", 0.0),
        ("now", "later", 0.0),
        ("", "", 0.0),
    ],
)
def test_times_that_are_none_take_no_time(earlier: str, later: str, seconds: float) -> None:
    assert seconds_between(earlier, later) == seconds
