"""After a confirmation the mean decides, whoever asks, and a repetition is nowhere taken for another net."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaqnn_orch.control.budget import used
from metaqnn_orch.control.record import load_record
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.reporting.bill import bill
from metaqnn_orch.reporting.content import Content, content
from metaqnn_orch.reporting.explain import explain
from metaqnn_orch.reporting.front import ACCURACY_AND_SIZE, front
from metaqnn_orch.reporting.history import read_history
from metaqnn_orch.reporting.palette import LIGHT
from metaqnn_orch.reporting.replay_export import replay_rows
from metaqnn_orch.reporting.schemas import plain
from metaqnn_orch.reporting.standing import Stage, standing
from metaqnn_orch.reporting.summary import RunView, leaderboard, read_run, summary, trial_rows, trial_table
from metaqnn_orch.reporting.tracking import Points, history_points
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.confirming import NETS, REPEATS, TOP, confirming, heads, the_lucky_one, unlucky
from tests.control.world import Session

AGAIN = TOP * REPEATS


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store", durable=False)


@pytest.fixture
def session(store: DirectoryStore) -> Session:
    return unlucky(store)


@pytest.fixture
def view(store: DirectoryStore, session: Session) -> RunView:
    return read_run(store, "test")


def winner(state: RunState) -> Trial:
    assert state.best is not None
    return state.best


def page(store: DirectoryStore, view: RunView) -> Content:
    return content(view, read_history(store, view), None, None)


def test_the_lucky_net_is_not_the_best(session: Session, view: RunView) -> None:
    best, lucky = winner(view.state), the_lucky_one(session)
    assert best.trial != lucky.trial
    assert best.is_confirmed
    assert best.worth == best.mean_reward
    assert leaderboard(view.state, 1) == [best]
    ranked = [trial.trial for trial in leaderboard(view.state, 100)]
    assert sorted(ranked) == sorted(trial.trial for trial in heads(session)), "each design once"
    assert ranked.index(lucky.trial) == TOP - 1


def test_the_summary_names_it_with_its_mean(view: RunView) -> None:
    best, found = winner(view.state), summary(view, None)
    named = found["best"]
    assert named is not None
    assert named["trial"] == best.trial
    assert named["trainings"] == 1 + REPEATS
    assert named["mean_reward"] == best.worth
    assert named["confirmed"]
    assert plain(found["confirmations"]) == {"done": AGAIN, "all": AGAIN}
    assert (found["unique"], found["told"], found["goal"]) == (NETS, NETS, NETS)


def test_rows_say_what_repeats_what(session: Session, view: RunView) -> None:
    rows = trial_rows(view.state, works=False)
    assert len(rows) == NETS + AGAIN
    repeated = {row["trial"]: row for row in rows if "trainings" in row}
    assert {row["confirms"] for row in rows if "confirms" in row} == repeated.keys()
    assert len(repeated) == TOP
    columns, table = trial_table(view.state, works=False)
    assert {"confirms", "trainings", "mean_reward", "confirmed"} <= {*columns}
    assert len(table) == len(rows)
    plain = Session(DirectoryStore(Path(session.store.uri) / "plain", durable=False), confirming(search={}))
    plain.run_to_end()
    assert "confirms" not in trial_table(plain.state, works=False)[0]


def test_the_report_leads_with_the_mean_and_counts_nets(store: DirectoryStore, view: RunView) -> None:
    shown = page(store, view)
    assert ("nets trained", f"{NETS}") in shown.numbers
    assert ("best accuracy", f"{winner(view.state).worth:.4f} (mean of {1 + REPEATS})") in shown.numbers
    assert f"the mean of {1 + REPEATS} trainings" in shown.lead
    assert any(f"{AGAIN} of {AGAIN} times: their means decide" in note for note in shown.notes)
    assert len(shown.trials) == NETS + AGAIN


def test_curves_and_fronts_have_each_net_once(store: DirectoryStore, view: RunView) -> None:
    history = read_history(store, view)
    assert (len(history.ended), len(history.trained)) == (NETS, NETS + AGAIN)
    drawn = front(history.ended, ACCURACY_AND_SIZE, view.state.space, LIGHT)
    assert len(drawn.rows) == NETS
    of = {row["trial"]: row["accuracy"] for row in drawn.rows}
    best = winner(view.state)
    assert of[best.trial] == pytest.approx(best.worth)


def test_the_replay_format_has_what_the_searcher_was_told(store: DirectoryStore, session: Session) -> None:
    rows = [*replay_rows(store, load_record(store, "test"))]
    assert len(rows) == len(session.state.presented) == NETS
    assert len({row["net"] for row in rows}) == NETS


def test_trackers_show_a_repetition_apart(store: DirectoryStore, view: RunView) -> None:
    points = history_points(store, view, Points())
    first = [point for point in points if not point.trial.confirms]
    again = [point for point in points if point.trial.confirms]
    assert [point.number for point in first] == [*range(1, NETS + 1)]
    assert [point.number for point in again] == [*range(1, AGAIN + 1)]
    assert {point.best for point in again} == {first[-1].best}
    assert {point.mean for point in again} == {first[-1].mean}
    last = {point.trial.confirms: point.confirmed for point in again}
    assert last == pytest.approx({name: view.state.trials[name].mean_reward for name in last})
    assert points[-1].hours == pytest.approx(view.state.device_seconds / 3600)


def test_explain_knows_each_net_once_and_its_mean(view: RunView) -> None:
    shown = explain(view.state, "[]")
    assert sum(move.trained for move in shown.moves) == NETS
    best = winner(view.state)
    assert [move.best_reward for move in shown.moves if move.best_trained == best.net] == [best.worth]


def test_it_has_a_bar_of_its_own_and_the_budget_counts_it(view: RunView) -> None:
    now = standing(view.state, "now")
    assert now.whole == Stage(NETS, NETS, 0.0)
    assert now.confirming == Stage(AGAIN, AGAIN, 0.0)
    assert now.endings == {"completed": NETS + AGAIN}
    assert now.recent == NETS
    spent = used(view.state, view.state.settings.budget, "now")
    assert spent.gpu_hours == pytest.approx((NETS + AGAIN) * 0.5 / 3600)


def test_the_bill_has_it_until_it_is_done(view: RunView) -> None:
    wanted = confirming()
    before = bill(wanted, RunState(wanted), 3600.0, 1, 1)
    assert before.confirming is not None
    assert (before.confirming.nets, before.whole.nets) == (AGAIN, NETS + AGAIN)
    after = bill(wanted, view.state, 3600.0, 1, 1)
    assert (after.confirming, after.whole.nets) == (None, 0)
