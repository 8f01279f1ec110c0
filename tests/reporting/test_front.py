"""The front of any two measures, and the report of a run without accuracies."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaqnn_orch.errors import BadInput
from metaqnn_orch.reporting.figures import scale_of
from metaqnn_orch.reporting.front import ACCURACY_AND_SIZE, Axes, front, parse_axes
from metaqnn_orch.reporting.history import read_history
from metaqnn_orch.reporting.palette import LIGHT
from metaqnn_orch.reporting.report import compose
from metaqnn_orch.reporting.summary import RunView
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Session, settings
from tests.reporting.regression import CHANCE, write_regression
from tests.reporting.runs import write_run


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path, durable=False)


@pytest.fixture
def view(store: DirectoryStore) -> RunView:
    return write_regression(store)


@pytest.mark.parametrize("axes", [Axes("params", "reward"), Axes("mae", "params"), Axes("seconds", "macs_per_byte")])
def test_no_net_beats_one_of_the_front_in_both(axes: Axes, store: DirectoryStore, view: RunView) -> None:
    figure = front(read_history(store, view).ended, axes, view.state.space, LIGHT)
    best = [row for row in figure.rows if row["pareto"]]
    assert best
    for row in figure.rows:
        better = [
            other
            for other in best
            if other[axes.cost] <= row[axes.cost]
            and other[axes.value] >= row[axes.value]
            and (other[axes.cost], other[axes.value]) != (row[axes.cost], row[axes.value])
        ]
        assert not (better and row["pareto"])
    assert (figure.name, [*figure.rows[0]][:4]) == (
        f"front-{axes.value}-{axes.cost}",
        ["trial", "net", "params", "macs"],
    )


def test_what_lacks_a_measure_is_no_point(store: DirectoryStore, view: RunView) -> None:
    ended = read_history(store, view).ended
    assert len(front(ended, Axes("mae", "reward"), view.state.space, LIGHT).rows) == len(ended) - 1
    with pytest.raises(BadInput, match="no net has the measure accuracy") as refused:
        front(ended, ACCURACY_AND_SIZE, view.state.space, LIGHT)
    assert refused.value.hint == "there are macs, mae, params, reward, seconds, state"


@pytest.mark.parametrize("text", ["", "params", "params,reward,loss", "params,", "a b,c", "../x,y"])
def test_two_names_are_asked_for(text: str) -> None:
    with pytest.raises(BadInput, match="does not name two measures"):
        parse_axes(text)


def test_axes_as_people_write_them() -> None:
    assert parse_axes("params, reward") == Axes("params", "reward")


def test_an_axis_from_the_lowest_reward_to_the_highest(store: DirectoryStore, view: RunView) -> None:
    ended = read_history(store, view).ended
    scale = scale_of(ended)
    assert (scale.low, scale.high) == (CHANCE, max(item.reward for item in ended))
    one = scale_of(ended[:1])
    assert one.low == CHANCE < one.high, "of one net, too, it has a length"


def test_a_report_of_negative_rewards(store: DirectoryStore, view: RunView) -> None:
    pytest.importorskip("vl_convert", reason="needs the extra: metaqnn-orch[report]")
    made = compose(view, read_history(store, view), None, top=2)
    text = made.files["index.html"].decode()
    assert view.state.best is not None
    assert f"The best has a reward of {view.state.best.reward:.4f}" in text
    assert "<button>reward</button>" in text
    assert "accuracy" not in text.replace("validation accuracy", "accuracy").partition("<h2")[0]
    assert made.tables["front-reward-params.csv"]
    assert {"reward", "measure.mae"} < made.tables["trials.csv"][0].keys()
    bars = made.tables["figure-a2-histograms.csv"]
    assert sum(row["nets"] for row in bars) == 12
    assert min(row["low"] for row in bars) == CHANCE


def test_a_report_says_what_was_told_and_may_look_at_accuracies(store: DirectoryStore) -> None:
    pytest.importorskip("vl_convert", reason="needs the extra: metaqnn-orch[report]")
    limit = {"reference": 1e4, "weight": 0.07}
    session = Session(store, settings(objective={"soft_limits": {"params": limit}}))
    session.run_to_end()
    view = RunView(session.record, session.state, session.journal.position)
    made = compose(view, read_history(store, view), None, top=1, axes=ACCURACY_AND_SIZE)
    text = made.files["index.html"].decode()
    assert "The searcher was told reward x (params / 10000)^-0.07." in text
    assert {"accuracy", "params"} < made.tables["accuracy-and-size.csv"][0].keys()


def test_the_default_is_accuracy_and_size(store: DirectoryStore) -> None:
    pytest.importorskip("vl_convert", reason="needs the extra: metaqnn-orch[report]")
    view = write_run(store, 6)
    made = compose(view, read_history(store, view), None, top=1)
    row = made.tables["accuracy-and-size.csv"][0]
    assert [*row] == ["trial", "net", "params", "macs", "accuracy", "pareto"]
