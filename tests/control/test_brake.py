"""The brake: a crash for everybody costs a run that has learned no net, however few trials it has in parallel."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from metaqnn_orch.control import snapshot
from metaqnn_orch.control.brake import FURTHER_TRIALS, Streak, braked_in, cause_of
from metaqnn_orch.control.ends import LONGEST_PAUSE
from metaqnn_orch.control.events import Braked, Opened
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.surroundings import Outcome, Stop
from metaqnn_orch.errors import RunFailed
from metaqnn_orch.launchers.base import Observation, Phase
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.fatal_store import FatalStore, SimulatedKill
from tests.control.world import Leap, ScriptedLauncher, Session, deliver
from tests.control.world import settings as plain_settings

ENDS: Final = [Phase.CRASHED, Phase.CUT_OFF, Phase.NO_DEVICE, Phase.REFUSED, Phase.HOPELESS, Phase.UNEQUIPPED]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return DirectoryStore(tmp_path / "store", durable=False)


def settings(**overrides: object) -> Settings:
    return plain_settings(**{"execution__poll_seconds": 0.02, **overrides})


class BadNets:
    """The nets of these numbers, in the order of their first launches, always crash; the others deliver."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers
        self.order: list[str] = []

    def __call__(self, store: Store, request: TrainingRequest, attempt: int) -> Phase:
        if request.trial not in self.order:
            self.order.append(request.trial)
        bad = self.order.index(request.trial) in self.numbers
        return Phase.CRASHED if bad else deliver(store, request, attempt)


@pytest.mark.parametrize("numbers", [(4, 5), (10, 11)])
def test_nets_that_always_crash_do_not_keep_a_run_from_its_end(store: Store, numbers: tuple[int, int]) -> None:
    """Others deliver between them, or nothing else is left to try."""
    session = Session(store, settings(execution__max_trials=12), clock=Leap())
    session.open()
    bad = BadNets(*numbers)
    session.stop = lambda: Stop.NOW if session.clock.seconds > 7200 else Stop.NO
    assert session.search(ScriptedLauncher(store, bad, parallel=2)) is Outcome.GOAL
    abandoned = {name for name, trial in session.state.trials.items() if trial.state == "abandoned"}
    assert abandoned == {bad.order[number] for number in numbers}
    before = RunState(session.state.settings)
    for event in session.events:
        before.apply(event)
    assert before.streak == session.state.streak


class Broken:
    """Trials deliver, then every launch up to `until` ends with `end`, then they deliver again."""

    def __init__(self, end: Phase = Phase.CRASHED, since: int = 2, until: int = 12) -> None:
        self.end, self.since, self.until = end, since, until
        self.launches = 0

    def __call__(self, store: Store, request: TrainingRequest, attempt: int) -> Phase:
        self.launches += 1
        if self.since < self.launches <= self.until:
            return self.end
        return deliver(store, request, attempt)


def fold(store: Store) -> RunState:
    state = RunState(settings())
    for event in Journal(store, "test").read():
        state.apply(event)
    return state


@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.parametrize("parallel", [1, 2, 3, 8])
@pytest.mark.parametrize("end", ENDS)
def test_a_crash_for_everybody_costs_no_net(store: Store, end: Phase, parallel: int, retries: int) -> None:
    session = Session(store, settings(execution__retries=retries), clock=Leap(span=30))
    assert session.run_to_end(Broken(end, until=25), parallel) is Outcome.GOAL
    state = session.state
    assert (state.unique, state.abandoned, state.braked) == (12, 0, None)
    assert all(trial.charged <= retries for trial in state.trials.values())
    kinds = [event.type for event in session.events]
    alone = parallel == 1 and not state.attempts_lost  # one trial's free attempts: no other is asked, and none charged
    assert alone or kinds.count("braked") == kinds.count("released") == 1
    assert any("ended in the same way" in text or "in a row were lost" in text for text in session.troubles)
    assert session.troubles[-1] == ""
    assert fold(store).agent.q_table.digest() == state.agent.q_table.digest()


def test_while_it_is_on_one_attempt_at_a_time_begins_after_growing_pauses(store: Store) -> None:
    session = Session(store, settings(), clock=Leap())
    session.open()
    begun: list[tuple[float, str]] = []
    behaviour = Broken(until=30)

    def noted(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        if session.state.braked is not None:
            begun.append((session.clock.seconds, request.trial))
        return behaviour(store, request, attempt)

    assert session.search(ScriptedLauncher(store, noted, parallel=4)) is Outcome.GOAL
    probes = begun[: begun.index(begun[-1]) + 1]
    pauses = [later - before for (before, _), (later, _) in pairwise(probes)]
    assert pauses == sorted(pauses)
    assert 25 <= pauses[0] <= 35
    assert LONGEST_PAUSE <= max(pauses) <= LONGEST_PAUSE + 3
    assert all(one != other for (_, one), (_, other) in pairwise(probes))
    assert len(session.state.trials) >= 12


def test_it_never_holds_more_trials_than_a_few_beyond_the_places(store: Store) -> None:
    session = Session(store, settings(), clock=Leap(span=20))
    session.open()
    session.stop = lambda: Stop.NOW if session.clock.seconds > 86_400 else Stop.NO
    assert session.search(ScriptedLauncher(store, Broken(until=10**9), parallel=2)) is Outcome.INTERRUPTED
    assert len(session.state.in_flight) <= 2 + FURTHER_TRIALS
    assert session.state.abandoned == 0
    later = Session(store, settings(), "two", clock=Leap())
    assert later.run_to_end(parallel=2) is Outcome.GOAL, "a day of crashes cost nothing"
    assert later.state.unique == 12


def test_where_nothing_was_ever_trained_it_fails_early_as_before(store: Store) -> None:
    with pytest.raises(RunFailed, match="none was trained"):
        Session(store, settings(), clock=Leap()).run_to_end(Broken(since=0, until=10**9))
    assert "braked" not in [event.type for event in Journal(store, "test").read()]


def test_one_bad_net_alone_is_abandoned(store: Store) -> None:
    bad: list[str] = []

    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        if len(bad) == 0 and attempt == 1 and len(list(store.list("runs/test/journal/"))) > 4:
            bad.append(request.trial)
        return Phase.CRASHED if request.trial in bad else deliver(store, request, attempt)

    session = Session(store, settings(), clock=Leap())
    assert session.run_to_end(behaviour, parallel=1) is Outcome.GOAL
    assert session.state.trials[bad[0]].state == "abandoned"
    assert "braked" not in [event.type for event in session.events]


def test_disruptions_do_not_put_it_on_while_they_are_free(store: Store) -> None:
    session = Session(store, settings(), clock=Leap())
    assert session.run_to_end(Broken(Phase.DISRUPTED, until=30), parallel=4) is Outcome.GOAL
    assert "braked" not in [event.type for event in session.events]
    spent = Session(
        store, settings(execution__free_attempts=1, execution__max_trials=24), "two", run="spent", clock=Leap()
    )
    assert spent.run_to_end(Broken(Phase.DISRUPTED, until=60), parallel=4) is Outcome.GOAL
    assert spent.state.abandoned == 0


def test_a_probe_that_ends_in_another_way_releases_it(store: Store) -> None:
    number = iter(range(10**6))

    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        now = next(number)
        if 2 <= now < 7:
            return Phase.CRASHED
        return Phase.CUT_OFF if now == 7 else deliver(store, request, attempt)

    session = Session(store, settings(), clock=Leap())
    assert session.run_to_end(behaviour, parallel=1) is Outcome.GOAL
    assert [event.why for event in session.events if event.type == "released"] == [
        "an attempt ended in another way: cut off: cut off as told"
    ]


def test_a_probe_that_outlives_the_others_releases_it(store: Store) -> None:
    Session(store, settings(execution__max_trials=1)).run_to_end()
    session = Session(store, settings(execution__max_trials=4), "two", clock=Leap())
    session.open()
    behaviour = Broken(since=0, until=5)

    class Long(ScriptedLauncher):
        """Whatever delivers takes an hour."""

        def __init__(self, parallel: int) -> None:
            super().__init__(store, behaviour, parallel)
            self.began: dict[str, float] = {}

        def observe(self) -> dict[str, Observation]:
            seen = dict(super().observe())
            for trial, one in seen.items():
                began = self.began.setdefault(trial, session.clock.seconds)
                if one.phase is Phase.DELIVERED and session.clock.seconds < began + 3600:
                    seen[trial] = one._replace(phase=Phase.RUNNING)
            return seen

    assert session.search(Long(parallel=1)) is Outcome.GOAL
    (released,) = [event.why for event in session.events if event.type == "released"]
    assert "longer than those that ended" in released


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_call_it_goes_on_braked(tmp_path: Path, after: bool) -> None:
    chosen = settings(execution__max_trials=5)
    call, finished = 0, False
    while not finished:
        call += 3
        store = DirectoryStore(tmp_path / f"{call}", durable=False)
        behaviour = Broken()
        try:
            session = Session(FatalStore(store, call, after), chosen, clock=Leap(span=20))
            session.open()
            session.search(ScriptedLauncher(store, behaviour))
            finished = True
        except SimulatedKill:
            session = Session(store, chosen, "two", clock=Leap(span=20))
            assert session.run_to_end(behaviour) is Outcome.GOAL
        assert session.state.abandoned == 0
        assert session.state.unique == 5


def test_the_next_session_begins_with_a_probe_and_may_want_no_brake(store: Store) -> None:
    stopped = Session(store, settings(), clock=Leap())
    stopped.open()
    stopped.stop = lambda: Stop.NOW if stopped.state.braked else Stop.NO
    assert stopped.search(ScriptedLauncher(store, Broken(until=10**9))) is Outcome.INTERRUPTED
    later = Session(store, settings(execution__brake_after=0), "two", clock=Leap())
    later.open()
    assert later.state.braked == stopped.state.braked
    assert later.search(ScriptedLauncher(store)) is Outcome.GOAL
    assert "released" in [event.type for event in later.events]


def test_a_snapshot_keeps_it(store: Store) -> None:
    session = Session(store, settings(), clock=Leap())
    session.open()
    session.stop = lambda: Stop.NOW if session.state.braked else Stop.NO
    session.search(ScriptedLauncher(store, Broken(until=10**9)))
    restored = snapshot.decode(snapshot.encode(session.state, b"entry"), b"entry", session.settings)
    assert restored is not None
    assert (restored.braked, restored.streak, restored.losses) == (
        session.state.braked,
        session.state.streak,
        session.state.losses,
    )


def test_the_budget_ends_a_run_whose_brake_is_on(store: Store) -> None:
    session = Session(store, settings(budget={"wall_clock_hours": 2.0}), clock=Leap())
    session.now = lambda: (
        f"2026-01-01T{int(session.clock.seconds // 3600):02}:{int(session.clock.seconds // 60) % 60:02}:00"
    )
    assert session.run_to_end(Broken(until=10**9)) is Outcome.BUDGET
    assert session.state.abandoned == 0


SAME: Final[list[tuple[str, str]]] = [
    (
        "on node gpu-a, the trainer ended with exit code 1 (internal): RuntimeError: CUDA error 803 in '/opt/x'",
        "on node gpu-b7, the trainer ended with exit code 1 (internal): RuntimeError: CUDA error 999 in '/opt/y'",
    ),
    ("the trainer was killed (out of memory?): 104 MiB", "the trainer was killed (out of memory?): 99 MiB"),
    ("crashed; it counts as a crash, after 50 free attempts", "crashed"),
    ("[C(32,3,1), SM(10)] cannot be built", "[SM(10)] cannot be built"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_names_and_numbers_make_no_other_cause(one: str, other: str) -> None:
    assert cause_of("crashed", one) == cause_of("crashed", other)


def test_the_nets_text_makes_no_other_cause_whatever_its_family() -> None:
    said = "the trainer ended with exit code 1: trial 0123456789ab: attempt {}: {} | ValueError: boom"
    nets = ("[C(8,3,1), SM(10)]", "relu 4 _ 1; tanh 0-9", "pre none nearest short; post batch deconv plain skip=1")
    causes = {cause_of(Phase.CRASHED, said.format(number, net)) for number, net in enumerate(nets, 1)}
    assert len(causes) == 1
    assert "boom" in causes.pop()


def test_other_exit_codes_and_other_ends_are_other_causes() -> None:
    ended: Callable[[int], str] = "the trainer ended with exit code {}".format
    assert cause_of("crashed", ended(1)) != cause_of("crashed", ended(137))
    assert cause_of("crashed", ended(1)) != cause_of("refused", ended(1))


def test_attempts_of_one_trial_alone_never_put_it_on() -> None:
    streak = Streak()
    for _ in range(100):
        streak.add("now", "a", Phase.CRASHED, "x", 1.0, charged=True)
    assert not streak.puts_on(5, 1)
    streak.add("now", "b", Phase.CRASHED, "x", 1.0, charged=True)
    assert streak.puts_on(5, 2)
    assert not streak.puts_on(5, 20), "so many others may be well"
    assert not streak.puts_on(0, 2)


def test_from_the_third_lost_attempt_in_a_row_it_is_trouble_until_a_result(store: Store) -> None:
    """One trial is disrupted again and again, for free, while another trains: neither brake nor pause says anything."""
    session = Session(store, settings(), clock=Leap())
    disrupted: list[str] = []

    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        if not disrupted or disrupted[0] == request.trial:
            disrupted.append(request.trial)
            return Phase.DISRUPTED if len(disrupted) <= 4 else deliver(store, request, attempt)
        return Phase.RUNNING

    def ends() -> Stop:
        return Stop.NOW if session.troubles[-1:] == [""] and session.state.told else Stop.NO

    session.stop = ends
    assert session.run_to_end(behaviour, parallel=2) is Outcome.INTERRUPTED
    assert [text.partition(" since")[0] for text in session.troubles] == [
        "3 attempts in a row were lost",
        "4 attempts in a row were lost",
        "",
    ]
    assert all("disrupted: disrupted as told" in text for text in session.troubles[:2])


def test_how_far_a_trainer_came_is_no_part_of_why_it_ended() -> None:
    killed = "the worker was killed by SIGKILL (out of memory?)"
    tails = [
        "",
        ": attempt 3: [C(16,3,1), SM(10)]",
        ": attempt 1: [SM(10)] | rate 0.001, epoch 1/20: loss 2.1710, validation accuracy 0.6376, 0.0 s",
        ": rate 4e-05, epoch 14/20: loss not finite, validation accuracy 0.1463, 0.1 s | rate 4e-05, epoch 15/20: lo",
    ]
    assert len({cause_of(Phase.CRASHED, killed + tail) for tail in tails}) == 1
    driver = ": rate 4e-05, epoch 14/20: loss 2.2, validation accuracy 0.1, 0.1 s | CUDA driver error: unknown"
    assert cause_of(Phase.CRASHED, killed + driver) != cause_of(Phase.CRASHED, killed)


class Endless(ScriptedLauncher):
    """Whatever it launches runs, and does not end."""

    def observe(self) -> dict[str, Observation]:
        return {trial: one._replace(phase=Phase.RUNNING) for trial, one in super().observe().items()}


def test_what_was_under_way_here_is_begun_anew_one_attempt_at_a_time(store: Store) -> None:
    """Only Jobs outlive a session."""
    stopped = Session(store, settings(), clock=Leap())
    stopped.open()
    stopped.stop = lambda: Stop.NOW if stopped.state.braked else Stop.NO
    stopped.search(ScriptedLauncher(store, Broken(until=10**9), parallel=4))
    later = Session(store, settings(), "two", clock=Leap())
    later.open()
    state = later.state
    assert len(state.in_flight) > 2
    under_way = {name: trial.attempt for name, trial in state.in_flight.items()}
    braked = Braked(at="now", given_back={}, under_way=under_way)
    later.journal.append([braked])
    state.apply(braked)
    later.stop = lambda: Stop.NOW if later.clock.seconds > 100 else Stop.NO
    launcher = Endless(store, parallel=4)
    later.search(launcher)
    assert len(launcher.launched) == 1


@pytest.mark.parametrize(
    ("before", "now", "goes_on"),
    [("kubernetes", "kubernetes", True), ("local", "kubernetes", False), ("kubernetes", "local", False)],
)
def test_only_jobs_are_still_under_way_in_the_next_session(before: str, now: str, goes_on: bool) -> None:
    one, two = (
        Opened(at="now", session=name, owner="me", version="0", goal=1, launcher=name) for name in (before, now)
    )
    brake = Braked(at="now", given_back={}, under_way={"0" * 12: 1})
    after = braked_in(two, one, brake)
    assert after is not None
    assert after.under_way == (brake.under_way if goes_on else {})
