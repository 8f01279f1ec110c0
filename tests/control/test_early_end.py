"""Nets that are stopped early: what their trainers are sent, and what becomes of what they answer."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from metaqnn_orch.application.exports import choose
from metaqnn_orch.application.finalists import candidates
from metaqnn_orch.control import snapshot
from metaqnn_orch.control.early_end import LATEST, MOST, early_end
from metaqnn_orch.control.ingest import Refused, Trusted, read_result
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.surroundings import Outcome
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.reporting.front import Axes, front
from metaqnn_orch.reporting.history import read_history
from metaqnn_orch.reporting.palette import LIGHT
from metaqnn_orch.reporting.summary import leaderboard, read_run
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.codec import MAX_MESSAGE_BYTES, decode, encode
from metaqnn_trainer.contract.messages import PredictionRule, QuarterRule, TrainerOptions, TrainingRequest, TrialSpec
from metaqnn_trainer.store.base import Store
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.fatal_store import FatalStore, SimulatedKill
from tests.control.stopping import EPOCHS, EXAMPLES, NETS, asked, curve_of, enabled, history, put_result, trained
from tests.control.test_snapshot import assert_same
from tests.control.world import DATASET, INFO, OBJECTIVE, ScriptedLauncher, Session, told_order

SPEC = TrialSpec(net="[SM(10)]", dataset=DATASET, image_size=8)
REQUEST = TrainingRequest(run="test", trial=SPEC.trial_id(), spec=SPEC)
RULES = ("prediction", "quarter")
SEARCHES = [*((rule, "q-learning") for rule in RULES), ("quarter", "guided")]


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store", durable=False)


def fold(store: Store, chosen: Settings) -> RunState:
    state = RunState(chosen)
    for event in Journal(store, "test").read():
        state.apply(event)
    return state


def test_nets_are_stopped_once_there_are_examples_enough(store: Store) -> None:
    session = Session(store, enabled())
    assert session.run_to_end(trained, parallel=1) is Outcome.GOAL
    best = 0.0
    for number, trial in enumerate(session.state.trials.values()):
        rule = asked(store, trial.trial).options.early_end
        if number < EXAMPLES:
            assert rule is None
        else:
            assert isinstance(rule, PredictionRule)
            assert (rule.best, rule.confidence) == (best, 0.95)
            assert {len(example.accuracies) for example in rule.examples} == {EPOCHS}
        if trial.state == "completed":
            assert trial.val_accuracy is not None
            best = max(best, trial.val_accuracy)
    stopped = [trial for trial in session.state.trials.values() if trial.state == "stopped_early"]
    assert len(stopped) > 5
    for trial in stopped:
        assert trial.val_accuracy == trial.predicted == curve_of(trial.net)[-1]
        assert (trial.measured, trial.spread) == (curve_of(trial.net)[1], 0.02)
        assert session.state.agent.replay.reward(trial.net) == trial.predicted
    newest = asked(store, [*session.state.trials][-1]).options.early_end
    assert isinstance(newest, PredictionRule)
    whole = [trial for trial in session.state.trials.values() if trial.state == "completed"]
    assert len(newest.examples) in (len(whole), len(whole) - 1), "none that was stopped is an example"


def test_after_a_quarter_the_best_third_goes_on(store: Store) -> None:
    session = Session(store, enabled("quarter"))
    assert session.run_to_end(trained, parallel=1) is Outcome.GOAL
    had: list[float] = []
    for number, trial in enumerate(session.state.trials.values()):
        rule, (at_quarter, *_, final) = asked(store, trial.trial).options.early_end, curve_of(trial.net)
        if number < EXAMPLES:
            assert (rule, trial.state) == (None, "completed")
        else:
            assert isinstance(rule, QuarterRule)
            assert rule.threshold == sorted(had, reverse=True)[number // 3 - 1], "with those that were stopped"
            assert (trial.state == "stopped_early") == (at_quarter < rule.threshold)
        if trial.state == "stopped_early":
            assert (trial.measured, trial.curve) == (at_quarter, [at_quarter])
            assert trial.reward == trial.predicted == pytest.approx(final), "a line, as all curves are"
        had.append(at_quarter)
    best = session.state.best
    assert best is not None
    assert best.reward == max(curve_of(trial.net)[-1] for trial in session.state.trials.values())
    assert 0 < sum(trial.state == "stopped_early" for trial in session.state.trials.values()) < NETS - EXAMPLES


@pytest.mark.parametrize(("rule", "method"), SEARCHES)
def test_what_was_stopped_is_never_ranked(rule: str, method: str, store: Store) -> None:
    """In no leaderboard (which `pull` copies, too), export, finals or front, and never the best."""
    Session(store, enabled(rule, search={"method": method})).run_to_end(trained)
    view = read_run(store, "test")
    state = view.state
    designs = [trial for trial in state.trials.values() if not trial.confirms]
    whole = {trial.net: trial.trial for trial in designs if trial.state == "completed"}
    assert EXAMPLES <= len(whole) < NETS - 3
    assert {trial.net for trial in leaderboard(state, NETS)} == {*candidates(view, NETS)} == {*whole}
    assert state.best is leaderboard(state, 1)[0]
    assert state.best.worth == max(trial.worth for trial in state.trials.values())
    assert choose(store, view, None) == whole[state.best.net]
    for axes in (Axes("params", "reward"), Axes("params", "accuracy"), Axes("macs", "reward")):
        drawn = front(read_history(store, view).ended, axes, state.space, LIGHT)
        assert {row["net"] for row in drawn.rows} == {*whole}


@pytest.mark.parametrize("rule", RULES)
def test_what_was_stopped_survives_as_it_was(rule: str, store: Store) -> None:
    session = Session(store, enabled(rule))
    session.run_to_end(trained)
    snapshot.save(store, "test", session.state, session.journal.position)
    found = snapshot.load(store, "test", enabled(rule))
    assert found is not None
    assert_same(found[0], fold(store, enabled(rule)))
    assert_same(fold(store, enabled(rule)), session.state)


def test_a_forged_prediction_makes_no_best_net(store: Store) -> None:
    """Of a trainer that says of a hopeless net what it likes."""

    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        prediction = {"accuracy": 1.0, "spread": 0.0, "best": 1.0}
        changes = {"status": "stopped_early", "val_accuracy": 0.5, "prediction": prediction}
        return put_result(store, request, attempt, history([0.4, 0.5]), best_epoch=2, epochs=2, **changes)

    session = Session(store, enabled(execution__max_trials=2))
    session.run_to_end(behaviour)
    assert session.state.best is None
    assert leaderboard(session.state, 10) == []


@pytest.mark.parametrize("rule", RULES)
def test_each_attempt_is_asked_the_same(rule: str, store: Store) -> None:
    seen: dict[str, bytes] = {}

    def crash_first(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        data = store.get(keys.request(request.run, request.trial))
        assert seen.setdefault(request.trial, data) == data
        return Phase.CRASHED if attempt == 1 else trained(store, request, attempt)

    session = Session(store, enabled(rule))
    assert session.run_to_end(crash_first, parallel=3) is Outcome.GOAL
    assert any(trial.state == "stopped_early" for trial in session.state.trials.values())
    assert {trial.attempt for trial in session.state.trials.values()} == {2}


@pytest.mark.parametrize(("rule", "method"), SEARCHES)
def test_killed_while_nets_are_stopped_the_run_ends_like_its_undisturbed_twin(
    rule: str, method: str, tmp_path: Path
) -> None:
    chosen = enabled(rule, search={"method": method})
    twin = Session(DirectoryStore(tmp_path / "twin"), chosen)
    twin.run_to_end(trained, parallel=1)
    every = 5 if method == "q-learning" else 14  # to fit a forest takes its time
    for call in count(85, every):  # before that there are too few examples
        store = DirectoryStore(tmp_path / f"{call}", durable=False)
        session = Session(FatalStore(store, call, call % 2 == 0), chosen)
        try:
            session.open()
            session.search(ScriptedLauncher(store, trained, parallel=1))
            break
        except SimulatedKill:
            session = Session(store, chosen, "two")
            assert session.run_to_end(trained, parallel=1) is Outcome.GOAL
        assert told_order(store) == told_order(twin.store)
        assert session.state.beliefs() == twin.state.beliefs()
        assert session.state.searcher.findings() == twin.state.searcher.findings()
        assert {**session.state.trials} == {**twin.state.trials}
    assert call > 120


@pytest.mark.parametrize("why", ["not enabled", "a list of nets"])
def test_nothing_is_stopped(why: str, store: Store) -> None:
    session = Session(store, enabled())
    session.run_to_end(trained)
    nets = [trial.net for trial in session.state.trials.values()][:25]
    chosen = enabled(nets=nets) if why == "a list of nets" else enabled(execution__early_end={"enabled": False})
    other = Session(DirectoryStore(Path(store.uri) / "other"), chosen)
    other.run_to_end(trained)
    assert {trial.state for trial in other.state.trials.values()} == {"completed"}
    assert {asked(other.store, trial).options for trial in other.state.trials} == {TrainerOptions()}
    assert all(trial.curve == curve_of(trial.net) for trial in other.state.trials.values()), (
        "curves are kept all the same"
    )


def known(number: int, epochs: int, **changes: Any) -> Trial:
    trial = Trial(f"{number:012x}", "[C(16,3,1), SM(10)]", 1.0, "completed", 0.5, params=10, macs=20)
    trial.curve = [0.123456789012345] * epochs
    for name, value in changes.items():
        setattr(trial, name, value)
    return trial


def test_examples_are_the_newest_whole_curves() -> None:
    chosen = enabled(recipe__epochs=3)
    cut = [known(number, 2) for number in range(100)]
    late = [known(number, 3, state="timed_out") for number in range(100)]
    whole = [known(number, 3, params=number) for number in range(300)]
    rule = early_end(chosen, [*cut, *late, *whole], whole[0])
    assert isinstance(rule, PredictionRule)
    assert [example.params for example in rule.examples] == [*range(MOST)]
    assert rule.examples[0].layers == 2
    assert early_end(chosen, whole, None) is None, "nothing is to be beaten"
    assert early_end(chosen, [*whole[: EXAMPLES - 1], *cut, *late], whole[0]) is None


def curved(*curve: float, **changes: Any) -> Trial:
    return known(0, 0, curve=[*curve], reward=max(curve), **changes)


@pytest.mark.parametrize(("epochs", "done"), [(2, 1), (3, 1), (4, 1), (5, 2), (8, 2), (9, 3), (20, 5)])
def test_a_quarter_of_the_epochs_is_rounded_up(epochs: int, done: int) -> None:
    trials = [curved(*[0.1] * (done - 1), 0.2, *[0.3] * (epochs - done)) for _ in range(EXAMPLES)]
    rule = early_end(enabled("quarter", recipe__epochs=epochs), trials, trials[0])
    assert isinstance(rule, QuarterRule)
    assert rule.threshold == 0.2
    assert {(example.quarter, example.final) for example in rule.examples} == {(0.2, 0.3)}


def test_one_epoch_has_no_quarter() -> None:
    trials = [curved(0.5)] * EXAMPLES
    assert early_end(enabled("quarter", recipe__epochs=1), trials, trials[0]) is None


def test_the_last_hundred_are_all_nets_that_got_so_far() -> None:
    chosen = enabled("quarter", recipe__epochs=8)
    cut = [curved(0.1, 1 - number / 1000, state="stopped_early") for number in range(80)]
    late = [curved(0.5, 0.4, 0.6, state="timed_out") for _ in range(10)]
    short = [curved(0.9, state="timed_out") for _ in range(50)]
    other = [curved(*[0.9] * 4, recipe={"epochs": 4}) for _ in range(50)]
    whole = [curved(0.2, 0.3, *[0.4 + number / 1000] * 6) for number in range(300)]
    rule = early_end(chosen, [*cut, *late, *short, *other, *whole], whole[0])
    assert isinstance(rule, QuarterRule)
    assert (rule.epochs, rule.best) == (8, whole[0].reward)
    assert rule.threshold == 1 - (LATEST // 3 - 1) / 1000, "the 33rd best of a hundred"
    pairs = [(example.quarter, example.final) for example in rule.examples]
    assert pairs == [(0.3, 0.4 + number / 1000) for number in range(MOST)], "the worst at that epoch"
    assert early_end(chosen, [*late, *short, *other, *cut, *whole[:9]], whole[0]) is None, "19 came to an end"
    rule = early_end(chosen, [*late, *short, *other, *cut, *whole[:10]], whole[0])
    assert isinstance(rule, QuarterRule)
    assert {example.final for example in rule.examples if example.quarter == 0.5} == {0.6}
    assert early_end(chosen, whole, None) is None


@pytest.mark.parametrize("rule", RULES)
def test_so_many_nets_come_before_it_acts_where_nothing_is_said(rule: str) -> None:
    chosen = enabled(rule, execution__early_end={"enabled": True, "rule": rule})
    fewest = {"prediction": 60, "quarter": 15}[rule]
    whole = [known(number, EPOCHS) for number in range(fewest)]
    assert early_end(chosen, whole[1:], whole[0]) is None
    assert early_end(chosen, whole, whole[0]) is not None


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("epochs", [3, 100, 101, 1000, 10_000])
def test_a_request_with_examples_remains_a_message(epochs: int, rule: str) -> None:
    trials = [known(number, epochs) for number in range(300)]
    made = early_end(enabled(rule, recipe__epochs=epochs), trials, trials[0])
    assert (made is None) == (epochs > 1000 and rule == "prediction")
    request = REQUEST.model_copy(update={"options": TrainerOptions(early_end=made)})
    assert len(encode(request)) < MAX_MESSAGE_BYTES
    assert decode(TrainingRequest, encode(request), "request") == request


CURVE = (0.5, 0.25)
POISON = {
    "no JSON": b"epoch 1: 0.5\n",
    "an empty line": b"\n" + history(CURVE),
    "a line is cut": history(CURVE)[:-10],
    "an epoch is missing": history(CURVE).splitlines(keepends=True)[0],
    "an epoch twice": history(CURVE) + history(CURVE),
    "an epoch too many": history([*CURVE, 0.1]),
    "another best": history([0.25, 0.4]),
    "an accuracy above one": history(CURVE).replace(b"0.25", b"1.25"),
    "NaN": history(CURVE).replace(b"0.25", b"NaN"),
    "no epoch counts": history(CURVE).replace(b'"train_loss":1.0', b'"train_loss":null'),
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_a_history_that_is_none_is_poison(poison: bytes, store: Store) -> None:
    def behaviour(store: Store, request: TrainingRequest, attempt: int) -> Phase:
        written = poison if attempt == 1 else history(CURVE)
        return put_result(store, request, attempt, written, val_accuracy=0.5, epochs=2)

    session = Session(store, enabled(execution__max_trials=1))
    assert session.run_to_end(behaviour, parallel=1) is Outcome.GOAL
    (trial,) = session.state.trials.values()
    assert (trial.attempt, trial.curve) == (2, [*CURVE])
    assert "its result was refused" in trial.trouble
    assert "history.jsonl" in trial.trouble
    assert store.get(keys.quarantine("test", trial.trial, 1))


@checked(max_examples=150)
@given(
    st.lists(st.sampled_from([*history(CURVE, rate=2).splitlines(), b"", b"{}", b"\xff", b"null"])),
    st.sampled_from(["completed", "timed_out", "untrainable"]),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_whatever_the_history_says_it_is_read_or_refused(
    lines: list[bytes], status: str, best_epoch: int, epochs: int
) -> None:
    changes = {"status": status, "best_epoch": best_epoch, "epochs": epochs, "val_accuracy": 0.5}
    with TemporaryDirectory() as folder:
        store = DirectoryStore(folder, durable=False)
        put_result(store, REQUEST, 1, b"\n".join(lines), **changes)
        found = read_result(store, INFO, REQUEST, OBJECTIVE)
    assert isinstance(found, Trusted | Refused)
    if isinstance(found, Trusted) and found.curve:
        assert len(found.curve) == epochs
        assert max(found.curve) == 0.5
