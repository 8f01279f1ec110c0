"""Confirmation: the best few are trained again with other seeds, and the mean decides."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from metaqnn_orch.control import snapshot
from metaqnn_orch.control.confirmation import is_due, progress
from metaqnn_orch.control.events import Proposed, Shortlisted
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.surroundings import Outcome, Stop
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import JournalError, SearcherFailed
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.search.searcher import Setup
from metaqnn_orch.search.searchers.random import RandomOptions, RandomSearch
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.checks import first_rates
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.fatal_store import FatalStore, SimulatedKill
from tests.control.stopping import asked, enabled, trained
from tests.control.world import ScriptedLauncher, Session, accuracy_of, result_for, settings

TOP, REPEATS = 3, 2
NETS = 8


def noisy(net: str, seed: int) -> float:
    """An accuracy that depends on the net, and half as much on the seed."""
    luck = int(hashlib.sha256(f"{net}{seed}".encode()).hexdigest()[:6], 16) / 0xFFFFFF
    return (2 * accuracy_of(net) + luck) / 3


def lucky(store: Store, request: TrainingRequest, attempt: int) -> Phase:
    accuracy = noisy(request.spec.net, request.spec.recipe.seed)
    store.put_if_absent(keys.result(request.run, request.trial), encode(result_for(request, val_accuracy=accuracy)))
    return Phase.DELIVERED


def wanted(nets: int = NETS, top: int = TOP, repeats: int = REPEATS, **more: object) -> Settings:
    chosen: dict[str, object] = {
        "search": {"method": "random", "confirm": {"top": top, "repeats": repeats}},
        "schedule__phases": [{"epsilon": 1.0, "unique": nets}],
    }
    return settings(**(chosen | more))


def confirmed(store: Store, name: str = "one", behaviour: Any = lucky, **more: Any) -> Session:
    session = Session(store, wanted(**more), name)
    assert session.run_to_end(behaviour) is Outcome.GOAL
    return session


def heads(state: RunState) -> list[Trial]:
    return [trial for trial in state.trials.values() if not trial.confirms]


def fold(store: Store, chosen: Settings) -> RunState:
    state = RunState(chosen)
    for event in Journal(store, "test").read():
        state.apply(event)
    return state


def as_value(state: RunState) -> dict[str, Any]:
    return {
        "trials": state.trials,
        "confirmations": {trial.trial: [one.trial for one in trial.confirmations] for trial in state.trials.values()},
        "order": list(state.trials),
        "ranking": [trial.trial for trial in state.ranking()],
        **{
            name: getattr(state, name)
            for name in ("best", "leader", "unique", "told", "step", "shortlist", "presented")
        },
        "known": [*map(list, state.known[1:])],
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return DirectoryStore(tmp_path / "store")


def test_the_best_are_trained_again_with_other_seeds_and_the_mean_decides(store: Store) -> None:
    state = confirmed(store).state
    first = sorted(heads(state), key=lambda trial: -(trial.reward or 0))
    chosen = [trial for trial in heads(state) if trial.confirmations]
    assert {trial.trial for trial in chosen} == {trial.trial for trial in first[:TOP]}
    for trial in chosen:
        seeds = [one.recipe["seed"] for one in trial.confirmations]
        assert len({0, *seeds}) == 1 + REPEATS
        rewards = [noisy(trial.net, seed) for seed in (0, *seeds)]
        assert trial.mean_reward == pytest.approx(sum(rewards) / 3)
        assert trial.worth == trial.mean_reward
        assert [one.reward for one in trial.trainings] == sorted(rewards, reverse=True)
    assert state.best is max(chosen, key=lambda trial: trial.mean_reward or 0)
    assert state.ranking()[:TOP] == sorted(chosen, key=lambda trial: -(trial.mean_reward or 0))
    assert [trial.reward for trial in state.ranking()[TOP:]] == [trial.reward for trial in first[TOP:]]


def test_a_lucky_net_is_not_named_the_best(store: Store) -> None:
    """What the first training says of the winner is wrong in some of these runs, and the mean says so."""
    changed = 0
    for seed in range(8):
        run = f"run-{seed}"
        session = Session(store, wanted(seed=seed), run=run)
        assert session.run_to_end(lucky) is Outcome.GOAL
        lead = max(heads(session.state), key=lambda trial: trial.reward or 0)
        changed += session.state.best is not lead
    assert changed


def test_the_search_is_that_of_a_run_without_confirmation(store: Store, tmp_path: Path) -> None:
    plain = Session(DirectoryStore(tmp_path / "plain"), wanted(top=0))
    assert plain.run_to_end(lucky) is Outcome.GOAL
    state = confirmed(store).state
    assert [trial.trial for trial in heads(state)] == [trial.trial for trial in heads(plain.state)]
    assert (state.unique, state.told, state.step) == (plain.state.unique, plain.state.told, plain.state.step)
    assert state.beliefs() == plain.state.beliefs()
    assert not any(trial.confirms for trial in plain.state.trials.values())


@pytest.mark.parametrize("search", [{}, {"method": "random"}], ids=["q-learning", "random"])
def test_it_is_off_unless_it_is_asked_for(store: Store, search: dict[str, object]) -> None:
    session = Session(store, settings(search=search))
    assert session.run_to_end(lucky) is Outcome.GOAL
    assert len(session.state.trials) == 12
    assert session.state.shortlist is None
    assert all(not event.confirms for event in session.events if isinstance(event, Proposed))


def test_the_means_count_from_the_moment_when_every_design_of_the_list_has_one(store: Store) -> None:
    state = RunState(wanted())
    session = confirmed(store)
    for event in Journal(store, "test").read():
        state.apply(event)
        chosen = state.shortlist.trials if state.shortlist is not None else ()
        complete = bool(chosen) and all(len(state.trials[name].trainings) > 1 for name in chosen)
        assert {trial.trial for trial in state.trials.values() if trial.is_confirmed} == set(chosen if complete else ())
        if state.best is not None and not complete:
            assert state.best.reward == max(trial.reward or 0 for trial in heads(state))
    assert as_value(state) == as_value(session.state)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_call_it_ends_with_the_same_means_and_winner(tmp_path: Path, after: bool) -> None:
    chosen = wanted(nets=3, top=2)
    twin = Session(DirectoryStore(tmp_path / "twin"), chosen)
    assert twin.run_to_end(lucky, parallel=1) is Outcome.GOAL
    call, finished, cut = 0, False, 0
    while not finished:
        call += 1
        store = DirectoryStore(tmp_path / f"{call}")
        session = Session(FatalStore(store, call, after), chosen)
        try:
            session.open()
            session.search(ScriptedLauncher(store, lucky, parallel=1))
            finished = True
        except SimulatedKill:
            session = Session(store, chosen, "two")
            session.open()
            found = progress(session.state)
            cut += found is not None and 0 < found.done < found.all
            assert session.search(ScriptedLauncher(store, lucky, parallel=1)) is Outcome.GOAL
        assert as_value(fold(store, chosen)) == as_value(session.state) == as_value(twin.state)
    assert call > 25
    assert cut > 5, "killed in the middle of the confirmation, too"


def test_a_signal_in_the_middle_and_the_same_command_goes_on_with_the_same_shortlist(store: Store) -> None:
    session = Session(store, wanted())
    session.stop = lambda: Stop.NOW if (progress(session.state) or (0, 0))[0] else Stop.NO
    assert session.run_to_end(lucky) is Outcome.INTERRUPTED
    again = confirmed(store, "two")
    lists = [event for event in Journal(store, "test").read() if isinstance(event, Shortlisted)]
    assert [event.trials for event in lists] == [session.state.shortlist and session.state.shortlist.trials]
    assert progress(again.state) == (TOP * REPEATS, TOP * REPEATS)


def test_snapshots_hold_it(store: Store) -> None:
    confirmed(store)
    journal, state, seen = Journal(store, "test"), RunState(wanted()), set()
    for event in journal.read():
        state.apply(event)
        entry = store.get(keys.journal_entry("test", journal.position))
        restored = snapshot.decode(snapshot.encode(state, entry), entry, wanted())
        assert restored is not None
        assert as_value(restored) == as_value(state)
        assert restored.best is None or restored.best is restored.trials[restored.best.trial]
        seen.add(state.best is not None and state.best.is_confirmed)
    assert seen == {True, False}


def test_a_higher_goal_goes_on_and_confirms_what_is_new_on_the_list(store: Store) -> None:
    first = confirmed(store)
    assert Session(store, wanted(), "idle").run_to_end(lucky) is Outcome.GOAL
    again = confirmed(store, "more", nets=3 * NETS)
    assert len(heads(again.state)) == 3 * NETS
    lists = [event for event in Journal(store, "test").read() if isinstance(event, Shortlisted)]
    assert len(lists) == 2
    known = {trial.trial for trial in first.state.trials.values() if trial.confirmations}
    new = set(lists[1].trials) - known
    assert new
    assert len(again.state.trials) == 3 * NETS + REPEATS * (len(known) + len(new)), "none is confirmed twice"
    assert again.state.best is again.state.ranking()[0]
    assert again.state.best.is_confirmed


def test_settings_of_it_may_change_when_the_run_goes_on(store: Store) -> None:
    plain = Session(store, wanted(top=0))
    assert plain.run_to_end(lucky) is Outcome.GOAL
    assert not is_due(plain.state, wanted(top=0).confirm)
    assert is_due(plain.state, wanted().confirm)
    few = confirmed(store, "two", top=2, repeats=1)
    assert len(few.state.trials) == NETS + 2
    more = confirmed(store, "three", top=3, repeats=2)
    assert len(more.state.trials) == NETS + 6
    off = confirmed(store, "four", top=0)
    assert len(off.state.trials) == NETS + 6
    assert plain.settings.identity() == few.settings.identity() == more.settings.identity()


def test_as_many_as_there_are(store: Store) -> None:
    state = confirmed(store, nets=2, top=5, repeats=1).state
    assert len(state.trials) == 4
    assert state.shortlist is not None
    assert len(state.shortlist.trials) == 2


def test_where_nothing_learned_anything_there_is_nothing_to_confirm(store: Store) -> None:
    def untrainable(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        tried: dict[str, Any] = {"epochs": 1, "learning_rates": first_rates(request.spec.recipe)}
        result = result_for(request, status="untrainable", val_accuracy=0.1, best_epoch=0, **tried)
        store.put_if_absent(keys.result(request.run, request.trial), encode(result))
        return Phase.DELIVERED

    state = confirmed(store, behaviour=untrainable).state
    assert state.shortlist is not None
    assert state.shortlist.trials == ()
    assert len(state.trials) == NETS


def test_a_confirmation_that_is_abandoned_is_no_training(store: Store) -> None:
    session = Session(store, wanted(execution__retries=0))
    doomed: set[str] = set()

    def crash_some(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        trial = session.state.trials[request.trial]
        if trial.confirms and (not doomed or trial.confirms in doomed):
            doomed.add(trial.confirms)
            return Phase.CRASHED
        return lucky(store, request, attempt)

    assert session.run_to_end(crash_some) is Outcome.GOAL
    state = session.state
    (lost,) = (state.trials[name] for name in doomed)
    assert (state.abandoned, len(lost.confirmations), len(lost.trainings)) == (REPEATS, REPEATS, 1)
    assert not lost.is_confirmed
    assert state.ranking().index(lost) >= TOP - 1, "it stands behind those that are confirmed"
    assert progress(state) == (TOP * REPEATS, TOP * REPEATS)


def test_no_early_end_and_no_stopped_net_among_them(store: Store) -> None:
    chosen = enabled(search={"method": "random", "confirm": {"top": TOP, "repeats": REPEATS}})
    session = Session(store, chosen)
    assert session.run_to_end(trained) is Outcome.GOAL
    assert any(trial.state == "stopped_early" for trial in session.state.trials.values())
    repetitions = [trial for trial in session.state.trials.values() if trial.confirms]
    assert len(repetitions) == TOP * REPEATS
    assert all(trial.state == "completed" for trial in repetitions)
    assert all(asked(store, trial.trial).options.early_end is None for trial in repetitions)


MINUTES = 1 / 60


def takes_a_minute(store: Store, request: TrainingRequest, attempt: int) -> Phase:
    accuracy = noisy(request.spec.net, request.spec.recipe.seed)
    result = result_for(request, val_accuracy=accuracy, seconds=60.0)
    store.put_if_absent(keys.result(request.run, request.trial), encode(result))
    return Phase.DELIVERED


@pytest.mark.parametrize(
    "limits", [{"gpu_hours": 14.5 * MINUTES}, {"money": 14.5, "price_per_gpu_hour": 60.0}], ids=["hours", "money"]
)
def test_the_budget_is_kept_for_it(store: Store, limits: dict[str, object]) -> None:
    session = Session(store, wanted(nets=40, budget=limits))
    assert session.run_to_end(takes_a_minute) is Outcome.BUDGET
    state = session.state
    assert len(heads(state)) == 8
    assert progress(state) == (TOP * REPEATS, TOP * REPEATS)
    assert state.best is not None
    assert state.best.is_confirmed
    assert state.finished is not None
    assert state.finished.reason == "budget"
    assert "another trial with 6 to confirm the best would exceed it" in state.finished.detail


def test_where_the_budget_ends_in_the_middle_a_larger_one_goes_on_with_the_same_list(store: Store) -> None:
    session = Session(store, wanted(budget={"gpu_hours": 110 / 3600}))

    def slower(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        """What confirms takes ten times as long as was expected."""
        accuracy = noisy(request.spec.net, request.spec.recipe.seed)
        seconds = 50.0 if request.spec.recipe.seed else 5.0
        result = result_for(request, val_accuracy=accuracy, seconds=seconds)
        store.put_if_absent(keys.result(request.run, request.trial), encode(result))
        return Phase.DELIVERED

    assert session.run_to_end(slower) is Outcome.BUDGET
    found = progress(session.state)
    assert found is not None
    assert 0 < found.done < TOP
    assert session.state.best is not None
    assert not session.state.best.is_confirmed, "not every design of the list was trained again"
    chosen = session.state.shortlist and session.state.shortlist.trials
    again = Session(store, wanted(budget={"gpu_hours": 2.0}), "two")
    assert again.run_to_end(slower) is Outcome.GOAL
    assert again.state.shortlist is not None
    assert again.state.shortlist.trials == chosen
    assert progress(again.state) == (TOP * REPEATS, TOP * REPEATS)


def test_a_target_is_reached_by_a_mean(store: Store) -> None:
    """A lucky training is confirmed, and the search goes on where the mean does not reach the target."""
    target = 0.75
    session = Session(store, wanted(nets=400, budget={"target": target}))
    assert session.run_to_end(lucky) is Outcome.TARGET
    state = session.state
    assert state.best is not None
    assert state.best.is_confirmed
    assert state.best.worth >= target
    lists = [event for event in Journal(store, "test").read() if isinstance(event, Shortlisted)]
    below = [trial for trial in heads(state) if trial.is_confirmed and (trial.reward or 0) >= target > trial.worth]
    assert below, "this seed has a net that was only lucky"
    assert len(lists) > 1
    assert state.finished is not None
    assert f"a net has reached {state.best.worth:.4f}" in state.finished.detail


class Chooser(RandomSearch):
    """Confirms whatever a test says."""

    answer: ClassVar[Any] = None

    def shortlist(self, ranked: Sequence[tuple[str, float]], count: int) -> Sequence[str]:
        assert [reward for _, reward in ranked] == sorted((reward for _, reward in ranked), reverse=True)
        return self.answer(ranked, count)  # type: ignore[no-any-return]


def chooser(store: Store, answer: Any, name: str = "one") -> Session:
    session = Session(store, wanted(), name)
    session.open()
    setup = Setup(
        session.settings.state_space(), RandomOptions(), session.settings.randomness, session.settings.phases()
    )
    session.state.searcher = Chooser(setup)
    session.state.searcher.answer = answer  # type: ignore[misc]
    return session


def test_the_searcher_chooses_what_is_confirmed(store: Store) -> None:
    session = chooser(store, lambda ranked, count: [ranked[-1][0], ranked[0][0], ranked[0][0], ranked[1][0]])
    assert session.search(ScriptedLauncher(store, lucky)) is Outcome.GOAL
    first = sorted(heads(session.state), key=lambda trial: -(trial.reward or 0))
    assert session.state.shortlist is not None
    assert session.state.shortlist.trials == (first[-1].trial, first[0].trial), "three at most, none of them twice"


FAULTS: dict[str, tuple[Any, str]] = {
    "it raises": (lambda ranked, count: 1 / 0, "choosing what to confirm: ZeroDivisionError"),
    "nothing": (lambda ranked, count: None, "choosing what to confirm: TypeError"),
    "a number": (lambda ranked, count: [3], "chose 3 to confirm, which was not trained"),
    "pairs": (lambda ranked, count: ranked, "to confirm, which was not trained"),
    "an unknown design": (lambda ranked, count: ["[SM(11)]"], r"chose '\[SM\(11\)\]' to confirm, which was not"),
}


@pytest.mark.parametrize(("answer", "says"), FAULTS.values(), ids=FAULTS)
def test_a_searcher_that_cannot_choose_is_named_and_nothing_is_lost(store: Store, answer: Any, says: str) -> None:
    with pytest.raises(SearcherFailed, match=says):
        chooser(store, answer).search(ScriptedLauncher(store, lucky))
    again = confirmed(store, "two")
    assert progress(again.state) == (TOP * REPEATS, TOP * REPEATS)
    assert again.state.abandoned == 0


def test_one_that_wants_nothing_confirmed(store: Store) -> None:
    assert chooser(store, lambda ranked, count: []).search(ScriptedLauncher(store, lucky)) is Outcome.GOAL
    assert len(fold(store, wanted()).trials) == NETS


def test_an_endless_answer_is_cut(store: Store) -> None:
    session = chooser(store, lambda ranked, count: itertools.cycle([ranked[0][0]]))
    assert session.search(ScriptedLauncher(store, lucky)) is Outcome.GOAL
    assert progress(session.state) == (REPEATS, REPEATS)


@pytest.mark.parametrize(
    "event",
    [
        Proposed(step=0, epsilon=None, net="[SM(10)]", trial="0" * 12, confirms="1" * 12),
        Shortlisted(at="now", trials=("1" * 12,), top=1, repeats=1),
    ],
)
def test_a_journal_that_confirms_what_was_never_begun_is_damaged(event: Any) -> None:
    with pytest.raises(JournalError, match=r"which was not started$|which confirms none that was started$"):
        RunState(wanted()).apply(event)


def test_an_imported_reward_counts_only_where_there_is_no_other() -> None:
    """It was measured elsewhere, perhaps by another recipe."""
    imported = Trial("a" * 12, "[SM(10)]", 1.0, state="completed", reward=0.9, attempt=0)
    assert (imported.mean_reward, imported.trainings) == (0.9, [imported])
    for number, reward in enumerate([0.5, 0.6]):
        imported.confirmations.append(Trial(f"{number:012}", "[SM(10)]", None, state="completed", reward=reward))
    imported.is_confirmed = True
    assert imported.worth == pytest.approx(0.55)
    assert [trial.reward for trial in imported.trainings] == [0.6, 0.5]
