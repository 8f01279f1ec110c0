"""The loop against everything that can happen to a trial, to the store and to itself."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from metaqnn_orch.control.holder import Hold, Holder
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.loop import AT_ONCE
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.surroundings import Outcome, Stop
from metaqnn_orch.errors import RunFailed, RunHeld, StoreError
from metaqnn_orch.launchers.base import Observation, Phase
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import canonical_json, decode, encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Entry, Store
from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.errors import Cause
from tests.control.fatal_store import FatalStore, SimulatedKill
from tests.control.world import (
    Behaviour,
    Clock,
    Leap,
    ScriptedLauncher,
    Session,
    deliver,
    result_for,
    settings,
    told_order,
    values_for,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return DirectoryStore(tmp_path / "store")


def fold(store: Store) -> RunState:
    state = RunState(settings())
    for event in Journal(store, "test").read():
        state.apply(event)
    return state


def test_a_run_trains_as_many_unique_nets_as_its_schedule_says(store: Store) -> None:
    session = Session(store, settings())
    assert session.run_to_end() is Outcome.GOAL
    assert session.state.unique == 12
    phases = [trial.epsilon for trial in session.state.trials.values()]
    assert (phases.count(1.0), phases.count(0.3)) == (6, 6)
    assert len(set(told_order(store))) == 12


def test_many_free_places_are_filled_at_once_and_their_requests_written_before_any_launch(store: Store) -> None:
    requests_at_launch: set[int] = set()

    class Watching(ScriptedLauncher):
        def launch(self, request: TrainingRequest, attempt: int) -> None:
            requests_at_launch.add(sum(entry.key.endswith("request.json") for entry in store.list(keys.run("test"))))
            super().launch(request, attempt)

    session = Session(store, settings(schedule__phases=[{"epsilon": 1.0, "unique": 200}]))
    session.open()
    assert session.search(Watching(store, parallel=200)) is Outcome.GOAL
    assert requests_at_launch == {200}


@pytest.mark.parametrize("budget", [{}, {"gpu_hours": 1e-9}])
def test_nobody_who_wants_to_leave_waits_for_hundreds_of_results(store: Store, budget: dict[str, float]) -> None:
    """What was read is learned, the rest the next time, also where nothing more may begin."""
    asked = 0

    class Counting(DirectoryStore):
        def get(self, key: str, first: int | None = None) -> bytes:
            nonlocal asked
            asked += key.endswith("result.json")
            return super().get(key, first)

    wanted = settings(schedule__phases=[{"epsilon": 1.0, "unique": 200}], budget=budget)
    session = Session(Counting(store.uri), wanted)
    session.open()
    session.stop = lambda: Stop.NOW if asked > AT_ONCE else Stop.NO
    assert session.search(ScriptedLauncher(session.store, parallel=200)) is Outcome.INTERRUPTED
    assert AT_ONCE < asked <= 2 * AT_ONCE
    assert session.state.told >= asked
    rest = Session(store, wanted, "two")
    assert rest.run_to_end(parallel=200) is Outcome.GOAL
    assert rest.state.unique == 200


def test_max_trials_cuts_the_schedule_and_may_be_raised_later(store: Store) -> None:
    assert Session(store, settings(execution__max_trials=3)).run_to_end() is Outcome.GOAL
    assert fold(store).unique == 3
    assert Session(store, settings(execution__max_trials=5), "two").run_to_end() is Outcome.GOAL
    assert fold(store).unique == 5


def test_the_journal_folds_to_the_state_of_the_live_run(store: Store) -> None:
    session = Session(store, settings())
    session.run_to_end()
    folded = fold(store)
    assert folded.agent.q_table.digest() == session.state.agent.q_table.digest()
    assert folded.trials == session.state.trials
    assert (folded.told, folded.step, folded.epsilon) == (session.state.told, session.state.step, session.state.epsilon)


def test_no_trial_is_told_twice_and_samplings_are_counted(store: Store) -> None:
    session = Session(store, settings(space__max_layers=1, schedule__phases=[{"epsilon": 0.2, "unique": 10}]))
    session.run_to_end()
    order = told_order(store)
    assert len(order) == len(set(order))
    samplings = sum(trial.samplings for trial in session.state.trials.values())
    assert session.state.told == samplings > len(order)
    assert len(session.state.agent.replay) == samplings


def test_a_space_without_new_nets_ends_the_run(store: Store) -> None:
    small = settings(
        space__convolution={"filters": [4], "kernels": [1]},
        space__max_layers=1,
        space__fully_connected={"units": []},
        schedule__phases=[{"epsilon": 1.0, "unique": 50}],
    )
    session = Session(store, small)
    # GAP, SM, and one convolution before either: four nets in all.
    assert session.run_to_end() is Outcome.EXHAUSTED
    assert session.state.unique == 4
    assert session.events[-1].type == "finished"


def crash_first(times: int, phase: Phase = Phase.CRASHED) -> Behaviour:
    """The first `times` attempts of every trial end without a result."""

    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        return phase if attempt <= times else deliver(store, request, attempt)

    return behaviour


def test_crashes_within_the_budget_cost_attempts_and_nothing_else(store: Store) -> None:
    undisturbed = Session(store, settings(execution__parallel=1), run="undisturbed")
    undisturbed.run_to_end(parallel=1)
    session = Session(store, settings(execution__parallel=1))
    assert session.run_to_end(crash_first(2), parallel=1) is Outcome.GOAL
    assert session.state.attempts_lost == 24
    assert {trial.attempt for trial in session.state.trials.values()} == {3}
    assert session.state.agent.q_table.digest() == undisturbed.state.agent.q_table.digest()


def test_disruptions_are_free_however_many(store: Store) -> None:
    session = Session(store, settings())
    assert session.run_to_end(crash_first(7, Phase.DISRUPTED)) is Outcome.GOAL
    assert session.state.attempts_lost == 0
    assert session.state.abandoned == 0


def test_a_store_that_trials_miss_costs_attempts_until_one_has_reached_it(store: Store) -> None:
    chosen = settings(execution__retries=0, execution__poll_seconds=0.02)
    never = Session(store, chosen, run="never", clock=Leap(span=10))
    with pytest.raises(RunFailed):
        never.run_to_end(crash_first(9, Phase.CUT_OFF))
    assert never.state.told == 0
    Session(store, settings(execution__max_trials=1)).run_to_end()
    after = Session(store, chosen, "two", clock=Leap(span=10))
    assert after.run_to_end(crash_first(9, Phase.CUT_OFF)) is Outcome.GOAL, "it counts what the session before reached"
    assert (after.state.abandoned, after.state.attempts_lost) == (0, 0)


def test_an_abandoned_trial_is_never_told_and_never_drawn_again(store: Store) -> None:
    doomed: set[str] = set()

    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        if len(doomed) < 2:
            doomed.add(request.trial)
        return Phase.CRASHED if request.trial in doomed else deliver(store, request, attempt)

    one_layer = settings(space__max_layers=1, schedule__phases=[{"epsilon": 0.5, "unique": 12}])
    session = Session(store, one_layer)
    assert session.run_to_end(behaviour) is Outcome.GOAL
    assert session.state.abandoned == 2
    assert session.state.unique == 12
    assert not doomed & set(told_order(store))
    for trial in doomed:
        assert session.state.trials[trial].state == "abandoned"
        assert session.state.trials[trial].attempt == 3
        assert session.state.agent.replay.reward(session.state.trials[trial].net) is None


def test_a_run_in_which_nothing_works_stops_and_says_why(store: Store) -> None:
    with pytest.raises(RunFailed, match="none was trained; the last one: crashed as told"):
        Session(store, settings()).run_to_end(crash_first(99))
    assert fold(store).abandoned == 4
    # The next session tries other nets, as the hint promises.
    assert Session(store, settings(), "two").run_to_end() is Outcome.GOAL


def test_a_hopeless_trial_is_not_tried_again(store: Store) -> None:
    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        return Phase.HOPELESS if number() % 3 else deliver(store, request, attempt)

    number = count().__next__
    session = Session(store, settings(execution__max_trials=4))
    assert session.run_to_end(behaviour) is Outcome.GOAL
    assert session.state.abandoned > 0
    assert {trial.attempt for trial in session.state.trials.values()} == {1}


def test_without_a_brake_hopeless_trials_in_a_row_stop_a_run_that_has_learned(store: Store) -> None:
    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        return Phase.HOPELESS if number() >= 5 else deliver(store, request, attempt)

    number = count().__next__
    with pytest.raises(RunFailed, match="3 trials in a row were abandoned; the last one: hope"):
        Session(store, settings(execution__brake_after=0)).run_to_end(behaviour, parallel=1)
    state = fold(store)
    assert (state.told, state.abandoned) == (5, 3)
    assert Session(store, settings(), "two").run_to_end() is Outcome.GOAL


def test_delivered_without_a_result_is_free_once_and_then_a_crash(store: Store) -> None:
    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        return Phase.DELIVERED if attempt < 3 else deliver(store, request, attempt)

    session = Session(store, settings())
    assert session.run_to_end(behaviour) is Outcome.GOAL
    assert (session.state.disruptions, session.state.attempts_lost) == (12, 12)
    assert session.state.lost == {"no result": 24}
    assert "there is no result.json" in session.state.trials[told_order(store)[0]].trouble


POISON: list[tuple[str, dict[str, Any] | bytes]] = [
    ("nothing", b""),
    ("cut", b'{"schema_version": 1, "run": "te'),
    ("a list", b"[]"),
    ("deep", b"[" * 100_000),
    ("not UTF-8", b"\xff\xfe{}"),
    ("huge", b" " * (2 << 20)),
    ("another trial", {"trial": "0" * 12}),
    ("another run", {"run": "other"}),
    ("another spec", {"spec_digest": "0" * 64}),
    ("weights that are not there", {"weights": {"size": 3, "sha256": "0" * 64}}),
    ("no epoch counts", {"best_epoch": 0}),
]
POISON_TEXT = [
    ("NaN", '"val_accuracy": 0.25', '"val_accuracy": NaN'),
    ("infinite", '"val_accuracy": 0.25', '"val_accuracy": 1e999'),
    ("negative", '"val_accuracy": 0.25', '"val_accuracy": -0.1'),
    ("above one", '"val_accuracy": 0.25', '"val_accuracy": 1.5'),
    ("text", '"val_accuracy": 0.25', '"val_accuracy": "0.9"'),
    ("true", '"val_accuracy": 0.25', '"val_accuracy": true'),
    ("twice", '"val_accuracy": 0.25', '"val_accuracy": 0.25, "val_accuracy": 0.9'),
    ("extra", '"val_accuracy": 0.25', '"val_accuracy": 0.25, "surprise": 1'),
    ("future", '"schema_version": 1', '"schema_version": 2'),
]


@pytest.mark.parametrize("poison", [*POISON, *POISON_TEXT], ids=lambda poison: poison[0])
def test_poison_is_quarantined_and_the_run_goes_on(store: Store, poison: tuple[Any, ...]) -> None:
    poisoned: list[str] = []

    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        if not poisoned:
            poisoned.append(request.trial)
            if len(poison) == 3:
                text = encode(result_for(request, val_accuracy=0.25)).decode()
                assert poison[1] in text
                data = text.replace(poison[1], poison[2]).encode()
            elif isinstance(poison[1], bytes):
                data = poison[1]
            else:
                data = canonical_json(values_for(request, **poison[1]))
            store.put(keys.result(request.run, request.trial), data)
            return Phase.DELIVERED
        return deliver(store, request, attempt)

    session = Session(store, settings(execution__max_trials=3))
    assert session.run_to_end(behaviour) is Outcome.GOAL
    trial = session.state.trials[poisoned[0]]
    assert trial.state == "completed"
    assert trial.attempt == 2
    assert "refused" in trial.trouble
    assert [entry.key for entry in store.list("runs/test/quarantine/")] == [keys.quarantine("test", trial.trial, 1)]


def test_poison_is_put_aside_also_where_the_run_fails(store: Store) -> None:
    def poisoned(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        store.put(keys.result(request.run, request.trial), f"poison {attempt}".encode())
        return Phase.DELIVERED

    session = Session(store, settings(execution__retries=0))
    with pytest.raises(RunFailed, match="its result was refused"):
        session.run_to_end(poisoned)
    assert len(list(store.list("runs/test/quarantine/"))) == session.state.attempts_lost
    assert not [entry for entry in store.list(keys.trials("test")) if entry.key.endswith("result.json")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_single_call_the_run_ends_like_its_undisturbed_twin(tmp_path: Path, after: bool) -> None:
    chosen = settings(execution__parallel=1, execution__max_trials=4)
    twin = Session(DirectoryStore(tmp_path / "twin"), chosen)
    twin.run_to_end(crash_first(1), parallel=1)
    call, finished = 0, False
    while not finished:
        call += 1
        store = DirectoryStore(tmp_path / f"{call}")
        fatal = FatalStore(store, call, after)
        try:
            session = Session(fatal, chosen)
            session.open()
            # The trainers are other processes: they write to the store whether their orchestrator lives or not.
            session.search(ScriptedLauncher(store, crash_first(1), parallel=1))
            finished = True
        except SimulatedKill:
            session = Session(store, chosen, "two")
            assert session.run_to_end(crash_first(1), parallel=1) is Outcome.GOAL
        assert told_order(store) == told_order(twin.store)
        assert session.state.agent.q_table.digest() == twin.state.agent.q_table.digest()
    assert call > 30


class MoodyStore(FatalStore):
    """A real store that now and then does not answer, having done what it was asked or not."""

    def __init__(self, store: Store, rate: float, seed: int) -> None:
        super().__init__(store, 0, False)
        self._rate = rate
        self._rng = Random(seed)

    def _call(self, method: str, *arguments: Any) -> Any:
        deaf, mute = self._rng.random() < self._rate / 2, self._rng.random() < self._rate / 2
        answer = None if deaf else super()._call(method, *arguments)
        if deaf or mute:
            raise StoreError("the store did not answer", cause=Cause.OUTAGE)
        return answer


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_a_store_that_often_does_not_answer_is_waited_for(tmp_path: Path, rate: float, seed: int) -> None:
    store = DirectoryStore(tmp_path / "moody")
    session = Session(store, settings())
    session.open()
    moody = MoodyStore(store, rate, seed)
    session.store = moody
    session.journal = Journal(moody, "test", session.name)
    session.hold = Hold(moody, "test", session.hold.me, session.clock.monotonic)
    assert session.search(ScriptedLauncher(store)) is Outcome.GOAL
    assert "the store did not answer" in session.troubles
    assert session.troubles[-1] == ""
    assert max(session.clock.slept) <= 30
    assert fold(store).agent.q_table.digest() == session.state.agent.q_table.digest()
    assert len(told_order(store)) == len(set(told_order(store))) == 12


def test_the_first_of_two_orchestrators_is_fenced_and_changes_nothing_more(store: Store) -> None:
    first = Session(store, settings(), "first")
    first.open()
    second = Session(store, settings(), "second")
    before: list[Entry] = []

    def take_over_then_go_on(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        if not before:
            assert second.run_to_end() is Outcome.GOAL
            before.extend(store.list("runs/test/journal/"))
        return deliver(store, request, attempt)

    with pytest.raises(RunHeld, match="taken over by process"):
        first.search(ScriptedLauncher(store, take_over_then_go_on))
    assert list(store.list("runs/test/journal/")) == before
    assert fold(store).unique == 12


def never_ends(store: Store, request: TrainingRequest, attempt: int) -> Phase:
    return Phase.RUNNING


def test_stop_now_leaves_trials_in_flight_for_the_next_session(store: Store) -> None:
    calls = iter([Stop.NO] * 3)
    session = Session(store, settings(), stop=lambda: next(calls, Stop.NOW))
    assert session.run_to_end(never_ends) is Outcome.INTERRUPTED
    assert len(session.state.in_flight) == 2
    assert Session(store, settings(), "two").run_to_end() is Outcome.GOAL
    assert fold(store).attempts_lost == 0


def test_drain_waits_for_what_runs_and_proposes_nothing_more(store: Store) -> None:
    session = Session(store, settings())
    session.open()
    polls = 0

    class Slow(ScriptedLauncher):
        def observe(self) -> Any:
            nonlocal polls
            polls += 1
            seen = super().observe()
            if polls < 6:
                return {trial: one._replace(phase=Phase.RUNNING) for trial, one in seen.items()}
            return seen

    session.stop = lambda: Stop.DRAIN if polls > 2 else Stop.NO
    assert session.search(Slow(store)) is Outcome.INTERRUPTED
    assert session.state.unique == 2
    assert not session.state.in_flight
    assert len(session.state.trials) == 2


class TroubledLauncher(ScriptedLauncher):
    """In trouble from the third look to the tenth."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, parallel=1)
        self.launched_in_trouble = 0
        self._looks = 0

    def observe(self) -> Mapping[str, Observation]:
        self._looks += 1
        self.trouble = "no image" if 3 <= self._looks <= 10 else ""
        return super().observe()

    def launch(self, request: TrainingRequest, attempt: int) -> None:
        self.launched_in_trouble += bool(self.trouble)
        super().launch(request, attempt)


def test_trouble_is_noted_for_whoever_looks(tmp_path: Path) -> None:
    noted: list[str] = []

    class Noting(DirectoryStore):
        def put(self, key: str, data: bytes) -> None:
            super().put(key, data)
            if key == keys.holder("test"):
                noted.append(decode(Holder, data, key).trouble)

    session = Session(Noting(tmp_path / "store"), settings())
    session.open()
    assert session.search(TroubledLauncher(session.store)) is Outcome.GOAL
    assert "no image" in noted
    assert noted[-1] == ""


def test_a_launcher_in_trouble_is_left_alone_until_it_is_over(store: Store) -> None:
    session = Session(store, settings())
    session.open()
    launcher = TroubledLauncher(store)
    assert session.search(launcher) is Outcome.GOAL
    assert launcher.launched_in_trouble == 0
    assert session.troubles == ["no image", ""], "said once, however long it lasts"
    assert session.state.attempts_lost == 0


class NewsyLauncher(ScriptedLauncher):
    """Trials end a second after they were launched, which is news."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store, parallel=1)
        self._clock = clock
        self._launched_at = 0.0

    def launch(self, request: TrainingRequest, attempt: int) -> None:
        self._launched_at = self._clock.seconds
        super().launch(request, attempt)

    def observe(self) -> Mapping[str, Observation]:
        seen = super().observe()
        if self.has_news():
            return seen
        return {trial: Observation(ended.attempt, Phase.RUNNING) for trial, ended in seen.items()}

    def has_news(self) -> bool:
        return self._clock.seconds >= self._launched_at + 1


def test_news_end_the_rest(store: Store) -> None:
    session = Session(store, settings(execution__poll_seconds=3000.0))
    session.open()
    assert session.search(NewsyLauncher(store, session.clock)) is Outcome.GOAL
    assert 12 <= session.clock.seconds < 15
