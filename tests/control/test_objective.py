"""What the searcher is told: its law, what is refused, and a run that is told it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from metaqnn_orch.control.ingest import Refused, Trusted, read_result
from metaqnn_orch.control.objective import MOST, Evidence, Objective, in_words, told
from metaqnn_orch.control.requests import request_of
from metaqnn_orch.control.surroundings import Outcome as End
from metaqnn_orch.control.warm_start import recall
from metaqnn_orch.errors import RunConflict, RunFailed, SettingsError
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.settings.objective import ObjectiveSettings, SoftLimit
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.checks import first_rates
from metaqnn_trainer.contract.codec import encode
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import TrainingRequest
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.fatal_store import FatalStore, SimulatedKill
from tests.control.world import INFO, ScriptedLauncher, Session, accuracy_of, deliver, result_for, settings, told_order

SOFT = {"soft_limits": {"params": {"reference": 10_000.0, "weight": 0.07}}}

values = st.floats(-MOST, MOST)
measures = st.floats(1e-30, 1e39)
weights = st.floats(1e-3, 100) | st.floats(-100, -1e-3)
limits = st.builds(SoftLimit, reference=st.floats(1e-30, 1e30), weight=weights, only_above=st.booleans())


def tell(value: float, limit: SoftLimit, measure: float, *, learned: bool = True) -> float:
    return told(ObjectiveSettings(soft_limits={"size": limit}), Evidence(value, {}, {"size": measure}, learned))


@given(values, limits, measures, measures)
def test_of_equal_values_the_smaller_measure_is_never_told_as_less_and_the_larger_where_the_weight_is_negative(
    value: float, limit: SoftLimit, one: float, other: float
) -> None:
    good, bad = sorted((one, other), reverse=limit.weight < 0)
    assert tell(value, limit, good) >= tell(value, limit, bad)


@given(values, values, limits, measures)
def test_of_equal_measures_the_higher_value_is_never_told_as_less(
    one: float, other: float, limit: SoftLimit, measure: float
) -> None:
    low, high = sorted((one, other))
    assert tell(low, limit, measure) <= tell(high, limit, measure)


@given(values, st.floats(0, MOST), limits, measures)
def test_what_learned_nothing_is_never_told_as_more_than_what_learned_something(
    chance: float, more: float, limit: SoftLimit, measure: float
) -> None:
    better = min(chance + more, MOST)
    assert tell(chance, limit, measure, learned=False) <= tell(better, limit, measure)
    assert tell(chance, limit, measure, learned=False) <= chance, "no bonus"


@given(values, st.dictionaries(st.sampled_from("abcd"), limits), st.lists(measures, min_size=4, max_size=4))
def test_whatever_the_measures_are_the_reward_is_a_number_within_its_bounds(
    value: float, soft_limits: dict[str, SoftLimit], found: list[float]
) -> None:
    outcome = Evidence(value, dict(zip("abcd", found, strict=True)), {})
    assert -MOST <= told(ObjectiveSettings(soft_limits=soft_limits), outcome) <= MOST


@given(values, limits, measures)
def test_only_above_gives_no_bonus(value: float, limit: SoftLimit, measure: float) -> None:
    bounded = limit.model_copy(update={"only_above": True})
    assert tell(value, bounded, measure) == min(value, tell(value, limit, measure))


def test_mnasnets_numbers() -> None:
    """Twice the reference at weight 0.07 costs five percent, half of it earns five (Tan et al. 2019, section 3.1)."""
    limit = SoftLimit(reference=75.0, weight=0.07)
    assert tell(0.75, limit, 75.0) == 0.75
    assert tell(0.75, limit, 150.0) == pytest.approx(0.75 * 2**-0.07)
    assert tell(0.75, limit, 37.5) == pytest.approx(0.75 * 2**0.07)
    assert tell(-0.75, limit, 150.0) == pytest.approx(-0.75 * 2**0.07), "of a negative value, more is worse, too"
    large = SoftLimit(reference=75.0, weight=-0.07)
    assert tell(0.75, large, 150.0) == pytest.approx(0.75 * 2**0.07)
    assert tell(0.75, large, 37.5) == pytest.approx(0.75 * 2**-0.07)


def test_a_measure_is_told_in_place_of_the_tasks_reward() -> None:
    chosen = ObjectiveSettings(measure="f1", chance=0.01)
    assert told(chosen, Evidence(0.9, {"f1": 0.4}, {})) == 0.4
    assert told(chosen, Evidence(0.1, {}, {}, learned=False)) == 0.01
    assert told(ObjectiveSettings(measure="f1"), Evidence(0.1, {}, {}, learned=False)) == 0.1


def test_what_is_known_of_a_design_hides_a_measure_of_the_same_name() -> None:
    chosen = ObjectiveSettings(soft_limits={"params": SoftLimit(reference=10.0, weight=1.0)})
    assert told(chosen, Evidence(1.0, {"params": 1.0}, {"params": 20.0})) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (
            Evidence(0.5, {"loss": 1.0}, {"params": 3.0}),
            "needs the measure f1, which is missing: there are params, loss",
        ),
        (Evidence(0.5, {"f1": float("nan")}, {}), "needs the measure f1, but it is nan"),
        (Evidence(0.5, {"f1": float("inf")}, {}), "needs the measure f1, but it is inf"),
        (Evidence(0.5, {"f1": 0.0}, {}), "needs a positive measure f1, but it is 0"),
        (Evidence(0.5, {"f1": -1.0}, {}), "needs a positive measure f1, but it is -1"),
    ],
)
def test_what_cannot_be_told_is_refused_by_the_measures_name(outcome: Evidence, says: str) -> None:
    chosen = ObjectiveSettings(soft_limits={"f1": SoftLimit(reference=1.0, weight=1.0)})
    with pytest.raises(MessageError, match=says):
        told(chosen, outcome)


def test_in_words() -> None:
    limits = {"params": SoftLimit(reference=1e6, weight=0.07), "bytes": SoftLimit(reference=2, weight=1)}
    limits["bytes"] = limits["bytes"].model_copy(update={"only_above": True})
    words = in_words(ObjectiveSettings(measure="f1", soft_limits=limits))
    assert words == "f1 x (params / 1e+06)^-0.07 x max(1, bytes / 2)^-1"
    large = {
        "a": SoftLimit(reference=10, weight=-0.07),
        "b": SoftLimit(reference=10, weight=-1, only_above=True),
    }
    assert in_words(ObjectiveSettings(soft_limits=large)) == "reward x (a / 10)^0.07 x min(1, b / 10)^1"


@pytest.mark.parametrize("rule", ["prediction", "quarter"])
@pytest.mark.parametrize("objective", [SOFT, {"measure": "accuracy"}])
def test_what_is_foretold_and_what_is_told_would_differ(objective: dict[str, Any], rule: str) -> None:
    with pytest.raises(SettingsError, match=r"execution\.early_end foretells the task's own reward"):
        settings(objective=objective, execution__early_end={"enabled": True, "rule": rule})


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store", durable=False)


def test_a_run_is_told_it_and_keeps_what_was_measured(store: Store) -> None:
    chosen = settings(objective=SOFT)
    session = Session(store, chosen)
    assert session.run_to_end() is End.GOAL
    for trial in session.state.trials.values():
        assert trial.params is not None
        assert trial.reward == pytest.approx(accuracy_of(trial.net) * (trial.params / 10_000) ** -0.07)
        assert trial.measures == {"accuracy": accuracy_of(trial.net)}
        assert trial.val_accuracy == accuracy_of(trial.net)
    told_ones = dict(session.state.agent.replay)
    assert told_ones == {trial.net: trial.reward for trial in session.state.trials.values()}
    assert session.state.ranking() == sorted(session.state.trials.values(), key=lambda trial: -(trial.reward or 0))
    assert session.state.best is session.state.ranking()[0]


def test_it_is_of_the_run_and_of_no_trial(store: Store) -> None:
    plain, chosen = settings(), settings(objective=SOFT)
    assert plain.identity() != chosen.identity()
    session = Session(store, plain)
    session.open()
    assert session.record.spec(plain, "[SM(10)]").trial_id() == session.record.spec(chosen, "[SM(10)]").trial_id()


def test_killed_anywhere_it_ends_like_its_undisturbed_twin(tmp_path: Path) -> None:
    chosen = settings(objective={**SOFT, "measure": "accuracy"})
    twin = Session(DirectoryStore(tmp_path / "twin", durable=False), chosen)
    twin.run_to_end(parallel=1)
    for call in range(8, 80, 9):
        store = DirectoryStore(tmp_path / f"{call}", durable=False)
        doomed = Session(FatalStore(store, call, call % 2 == 0), chosen)
        with suppress(SimulatedKill):
            doomed.open()
            doomed.search(ScriptedLauncher(store, parallel=1))
        session = Session(store, chosen, "two")
        assert session.run_to_end(parallel=1) is End.GOAL
        assert told_order(store) == told_order(twin.store)
        assert session.state.trials == twin.state.trials
        assert list(session.state.agent.replay) == list(twin.state.agent.replay)
        assert session.state.agent.q_table.digest() == twin.state.agent.q_table.digest()


def test_what_never_learned_is_told_as_chance(store: Store) -> None:
    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        tried: dict[str, Any] = {"epochs": 1, "learning_rates": first_rates(request.spec.recipe)}
        result = result_for(request, attempt, status="untrainable", val_accuracy=0.1, best_epoch=0, **tried)
        store.put(keys.result(request.run, request.trial), encode(result))
        return Phase.DELIVERED

    objective = {
        "soft_limits": {"params": {"reference": 1e9, "weight": 1.0}, "loss": {"reference": 1.0, "weight": 1.0}}
    }
    session = Session(store, settings(execution__max_trials=1, objective=objective))
    assert session.run_to_end(behaviour) is End.GOAL
    (trial,) = session.state.trials.values()
    assert (trial.state, trial.reward, trial.val_accuracy) == ("untrainable", 0.1, 0.1)


def test_a_result_without_the_measure_is_refused_and_says_so(store: Store) -> None:
    chosen = settings(execution__max_trials=1, objective={"measure": "f1"})
    session = Session(store, settings(execution__max_trials=1))
    session.run_to_end()
    (trial,) = session.state.trials.values()
    request = request_of(session.record, chosen, trial)
    assert isinstance(read_result(store, INFO, request, Objective(settings())), Trusted)
    found = read_result(store, INFO, request, Objective(chosen))
    assert isinstance(found, Refused)
    missing = "the objective needs the measure f1, which is missing: there are params, macs, bytes"
    assert found.reason.startswith(missing)


def test_a_measure_that_no_result_has_ends_the_run_after_one_attempt(store: Store) -> None:
    session = Session(store, settings(objective={"measure": "f1"}, execution__parallel=1))
    with pytest.raises(RunFailed, match="the objective needs the measure f1, which is missing: there are ") as failed:
        session.run_to_end(deliver)
    assert "--run OTHER" in failed.value.hint
    assert {trial.attempt for trial in session.state.trials.values()} == {2}, "no trial was begun again"
    assert (session.state.abandoned, session.state.attempts_lost) == (0, 0), "no net is charged"
    assert [*session.state.lost] == ["unequipped"]


def test_rewards_of_another_objective_are_no_beginning(store: Store) -> None:
    Session(store, settings(), run="first").run_to_end(deliver)
    with pytest.raises(RunConflict, match="has another kind of reward"):
        recall(store, "second", settings(objective=SOFT, warm_start={"run": "first"}), rehearsal=False)


@checked(max_examples=25)
@given(st.floats(1e-3, 10), st.booleans())
def test_settings_of_any_limit_are_read_back(weight: float, only_above: bool) -> None:
    limit = {"reference": 3.0, "weight": weight, "only_above": only_above}
    chosen = settings(objective={"soft_limits": {"top5": limit}})
    assert settings(objective=chosen.identity()["objective"]) == chosen
