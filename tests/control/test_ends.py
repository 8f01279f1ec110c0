"""What each end costs, and that nothing goes on for ever: whatever becomes of every attempt, a run comes to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from metaqnn_orch.control.brake import ADVICE
from metaqnn_orch.control.budget import used
from metaqnn_orch.control.ends import EAGER_ATTEMPTS, LONGEST_PAUSE, cost, pause_before
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.surroundings import Outcome, Stop
from metaqnn_orch.errors import RunFailed
from metaqnn_orch.launchers.base import BY_EXIT_CODE, Observation, Phase
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.contract.result import ExitCode
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.test_budget import clocked
from tests.control.test_loop import crash_first
from tests.control.world import Behaviour, ScriptedLauncher, Session, deliver, settings

LOST: Final = [phase for phase in Phase if phase not in (Phase.PENDING, Phase.RUNNING, Phase.DELIVERED)]
# How many attempts of a trial are lost at no cost, with free_attempts=20, where the store was reached before.
FREE: Final = {
    Phase.DISRUPTED: 20,
    Phase.FALSE_START: 20,
    Phase.CUT_OFF: 20,
    Phase.NO_DEVICE: 5,
    Phase.NO_RESULT: 1,
    Phase.CRASHED: 0,
    Phase.REFUSED: 0,
    Phase.UNEQUIPPED: 20,
    Phase.HOPELESS: 0,
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return DirectoryStore(tmp_path / "store", durable=False)


def lives(end: Phase, *, store_reached: bool = True, retries: int = 2) -> tuple[int, int]:
    """Free and charged attempts of a trial all of whose attempts end so, until it is abandoned."""
    free: dict[str, int] = {}
    charged = 0
    for _ in range(10_000):
        verdict = cost(end, free, charged, free_attempts=20, retries=retries, store_reached=store_reached)
        if verdict.charged:
            charged += 1
        else:
            free[end] = free.get(end, 0) + 1
        if verdict.abandoned:
            return sum(free.values()), charged
    raise AssertionError(f"{end} has no end")


@pytest.mark.parametrize("end", LOST)
def test_every_end_has_an_end(end: Phase) -> None:
    assert lives(end) == (FREE[end], 1 if end is Phase.HOPELESS else 3)


def test_a_store_that_nobody_ever_reached_is_charged() -> None:
    assert lives(Phase.CUT_OFF, store_reached=False) == (0, 3)


def test_free_ends_of_all_kinds_count_together() -> None:
    mixed = {"disrupted": 12, "cut off": 8}
    assert cost(Phase.NO_DEVICE, mixed, 0, free_attempts=20, retries=2, store_reached=True).charged


def test_every_exit_code_has_a_phase_and_what_is_not_ours_is_a_crash() -> None:
    ours = {code: BY_EXIT_CODE.get(code, Phase.CRASHED) for code in ExitCode}
    assert ours == {
        ExitCode.DELIVERED: Phase.DELIVERED,
        ExitCode.BAD_REQUEST: Phase.HOPELESS,
        ExitCode.DATASET: Phase.UNEQUIPPED,
        ExitCode.INTERNAL: Phase.CRASHED,
        ExitCode.DEVICE: Phase.NO_DEVICE,
        ExitCode.STORE: Phase.CUT_OFF,
        ExitCode.HOST_MEMORY: Phase.CRASHED,
        ExitCode.STORE_REFUSED: Phase.REFUSED,
        ExitCode.UNEQUIPPED: Phase.UNEQUIPPED,
        ExitCode.PREEMPTED: Phase.DISRUPTED,
    }


def test_pauses_grow_and_stay_bounded() -> None:
    pauses = [pause_before(attempt) for attempt in range(1, 1000)]
    assert pauses[:EAGER_ATTEMPTS] == [0.0] * EAGER_ATTEMPTS
    assert pauses == sorted(pauses)
    assert (pauses[EAGER_ATTEMPTS], pauses[-1]) == (2.0, LONGEST_PAUSE)


@pytest.mark.parametrize("end", LOST)
def test_a_run_whose_every_attempt_ends_so_fails_and_says_why(store: Store, end: Phase) -> None:
    session = Session(store, settings(execution__free_attempts=6))
    with pytest.raises(RunFailed, match=f"none was trained; the last one: {end} as told") as failed:
        session.run_to_end(crash_first(10_000, end))
    assert failed.value.hint.startswith(ADVICE.get(end, "repair the cause")), "an image without the plug-in, say"
    attempts = max(trial.attempt for trial in session.state.trials.values())
    assert attempts <= 6 + 3
    assert session.state.lost == {end: session.state.disruptions + session.state.attempts_lost}


def test_what_ran_while_nobody_looked_on_counts(store: Store) -> None:
    class Told(ScriptedLauncher):
        """It knows from elsewhere how long each attempt ran."""

        def observe(self) -> dict[str, Observation]:
            return {trial: seen._replace(seconds=1800.0) for trial, seen in super().observe().items()}

    session = clocked(store, execution__max_trials=1)
    session.open()
    assert session.search(Told(store, crash_first(2, Phase.DISRUPTED), parallel=1)) is Outcome.GOAL
    assert session.state.device_seconds == pytest.approx(3600.0, abs=1)


def test_where_free_attempts_are_used_up_the_run_says_so(store: Store) -> None:
    session = Session(store, settings(execution__free_attempts=3, execution__max_trials=1))
    assert session.run_to_end(crash_first(5, Phase.DISRUPTED), parallel=1) is Outcome.GOAL
    details = [event.detail for event in session.events if event.type == "failed"]
    assert details == ["disrupted as told"] * 3 + ["disrupted as told; it counts as a crash, after 3 free attempts"] * 2


def test_between_attempts_a_run_pauses_and_says_what_for(store: Store) -> None:
    session = Session(store, settings(execution__max_trials=2))
    assert session.run_to_end(crash_first(12, Phase.DISRUPTED)) is Outcome.GOAL
    assert session.clock.seconds > sum(pause_before(attempt) for attempt in range(1, 14))
    assert (
        "all 2 trials in parallel pause before their next attempt; the last one ended with: disrupted as told"
        in session.troubles
    )
    assert session.troubles[-1] == ""


class Slow(ScriptedLauncher):
    """Every attempt runs for an hour."""

    def __init__(self, session: Session, behaviour: Behaviour) -> None:
        super().__init__(session.store, behaviour, parallel=1)
        self._clock = session.clock
        self._began: dict[tuple[str, int], float] = {}

    def observe(self) -> dict[str, Observation]:
        seen = dict(super().observe())
        for trial, ended in seen.items():
            if self._clock.seconds < self._began.setdefault((trial, ended.attempt), self._clock.seconds) + 3600:
                seen[trial] = Observation(ended.attempt, Phase.RUNNING)
        return seen


@pytest.mark.parametrize("end", [end for end in LOST if end not in (Phase.HOPELESS, Phase.UNEQUIPPED)])
def test_the_budget_stops_attempts_that_are_free_too(store: Store, end: Phase) -> None:
    session = clocked(store, budget={"gpu_hours": 3.5}, execution={"poll_seconds": 600.0, "retries": 100})
    session.open()
    launcher = Slow(session, crash_first(10_000, end))
    assert session.search(launcher) is Outcome.BUDGET
    assert len(launcher.launched) == 4, "the last began while there was something left"
    assert used(session.state, session.settings.budget, session.state.heard).gpu_hours == pytest.approx(4, rel=0.05)
    assert session.state.finished is not None
    assert "another attempt would exceed it" in session.state.finished.detail
    assert len(session.state.in_flight) == 1, "a larger budget goes on with it"
    later = clocked(store, "two", budget={"gpu_hours": 9.0}, execution={"poll_seconds": 600.0, "max_trials": 1})
    later.open()
    assert later.search(Slow(later, deliver)) is Outcome.GOAL


@pytest.mark.parametrize("outlives", [False, True])
def test_a_run_whose_every_session_is_stopped_uses_its_budget_all_the_same(store: Store, outlives: bool) -> None:
    """On this machine the trials end with the session. What goes on elsewhere is counted when it has ended."""
    for number in range(4):
        session = clocked(store, f"{number}", budget={"gpu_hours": 1.4}, execution={"poll_seconds": 60.0})
        session.open()
        session.stop = lambda session=session: Stop.NOW if session.clock.seconds >= 1800 else Stop.NO  # type: ignore[misc]
        launcher = Slow(session, deliver)
        launcher.outlives_us = outlives
        outcome = session.search(launcher)
        assert outcome is (Outcome.BUDGET if number == 3 and not outlives else Outcome.INTERRUPTED)
    later = clocked(store, "later")
    later.open()
    so_far = used(later.state, later.settings.budget, later.state.heard)
    assert so_far.gpu_hours == pytest.approx(0 if outlives else 1.5, abs=0.1)
    assert so_far.wall_clock_hours == pytest.approx(2 if outlives else 1.5, abs=0.1)


def test_nobody_waits_for_a_pause_when_the_budget_is_used(store: Store) -> None:
    session = clocked(store, budget={"gpu_hours": 6.5}, execution={"poll_seconds": 1.0, "retries": 100})
    session.open()
    launcher = Slow(session, crash_first(10_000, Phase.DISRUPTED))
    assert session.search(launcher) is Outcome.BUDGET
    assert len(launcher.launched) == 7
    assert session.clock.seconds < 7 * 3600 + 2 + 4 + 8 + 7 * 5, "it paused before the fourth to the seventh"


def test_a_run_of_few_trials_that_were_all_abandoned_fails_whatever_ended_it(store: Store) -> None:
    few = settings(nets=["[SM(10)]", "[GAP(10), SM(10)]"], execution__retries=0)
    with pytest.raises(RunFailed, match="all 2 trials that ended were abandoned"):
        Session(store, few).run_to_end(crash_first(99))
    with pytest.raises(RunFailed, match="all 2 trials that ended were abandoned"):
        Session(store, few, "two").run_to_end()


def test_without_a_brake_trials_that_are_abandoned_stop_a_run_that_has_learned(store: Store) -> None:
    seen: list[str] = []

    def full(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        seen.append(request.trial)
        return deliver(store, request, attempt) if len(seen) <= 3 else Phase.REFUSED

    session = Session(store, settings(execution__retries=0, execution__brake_after=0))
    with pytest.raises(RunFailed, match="in a row were abandoned; the last one: refused as told"):
        session.run_to_end(full)
    assert session.state.told > 0
    assert len(seen) == 3 + 3


def test_what_earlier_releases_wrote_of_lost_attempts_counts_as_before(store: Store) -> None:
    session = Session(store, settings())
    session.run_to_end(crash_first(1))
    [entry, *_] = [event for event in Journal(store, "test").read() if event.type == "failed"]
    old = entry.model_copy(update={"charged": None})
    assert old.is_charged
    assert not old.model_copy(update={"kind": "disrupted"}).is_charged
