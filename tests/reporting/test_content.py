"""A run in words: every ending is explained, foreign text is one line."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from metaqnn_orch.control.ends import Lost
from metaqnn_orch.control.events import Braked
from metaqnn_orch.control.trial import TrialState
from metaqnn_orch.reporting.content import LOST_MEANINGS, MEANINGS, Content, content
from metaqnn_orch.reporting.front import ACCURACY_AND_SIZE, front
from metaqnn_orch.reporting.history import History, read_history
from metaqnn_orch.reporting.palette import LIGHT
from metaqnn_orch.reporting.timeline import timeline
from metaqnn_trainer.store.directory import DirectoryStore
from tests.reporting.runs import at, write_run, write_run_with_stopped_nets


@pytest.fixture
def found(tmp_path: Path) -> Content:
    store = DirectoryStore(tmp_path)
    view = write_run(store)
    return content(view, read_history(store, view), None, 3.6)


def test_every_state_of_a_trial_has_a_meaning() -> None:
    states = {name for part in get_args(TrialState) for name in (get_args(part) or [part])}
    assert set(MEANINGS) == states


def test_every_end_of_an_attempt_has_a_meaning_and_a_colour(tmp_path: Path) -> None:
    assert set(LOST_MEANINGS) == set(get_args(Lost))
    store = DirectoryStore(tmp_path)
    view = write_run(store)
    some = read_history(store, view).troubles[0]
    history = History([], [some._replace(kind=kind) for kind in get_args(Lost)], 1)
    drawn = json.dumps(timeline(history, LIGHT).spec)
    for kind in get_args(Lost):
        assert drawn.count(f'"{kind}"') == 2, "of the mark, and in the legend"
    assert {f"attempts {kind}" for kind in get_args(Lost)} < {
        outcome.name
        for outcome in content(view, replace(history, trained=read_history(store, view).trained), None, None).outcomes
    }


def test_the_time_of_imported_trials_is_not_that_of_the_run(tmp_path: Path) -> None:
    """They ended years before, or nobody knows when."""
    store = DirectoryStore(tmp_path)
    view = write_run(store, 3)
    history = read_history(store, view)
    first, *_ = history.ended
    imported = first._replace(trained_here=False, at=datetime.fromtimestamp(0, UTC))
    assert timeline(replace(history, trained=[imported, *history.ended]), LIGHT) == timeline(history, LIGHT)


def test_trials_and_attempts_are_counted_apart(found: Content) -> None:
    assert {outcome.name: outcome.number for outcome in found.outcomes} == {
        "completed": 22,
        "untrainable": 1,
        "too large": 1,
        "abandoned": 1,
        "in flight": 1,
        "attempts crashed": 3,
        "attempts disrupted": 1,
    }
    assert [number for _, number in found.reasons] == [4]


def test_what_was_foretold_is_said_to_be_and_is_no_point_on_the_front(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    view = write_run_with_stopped_nets(store)
    history = read_history(store, view)
    stopped = {trial.trial for trial in view.state.trials.values() if trial.state == "stopped_early"}
    found = content(view, history, None, None)
    assert {outcome.name: outcome.number for outcome in found.outcomes}["stopped early"] == len(stopped) > 5
    assert f"{len(stopped)} nets were stopped early: the reward is predicted" in found.notes[0]
    shown = {row["trial"] for row in front(history.ended, ACCURACY_AND_SIZE, view.state.space, LIGHT).rows}
    assert shown == {trial for trial in view.state.trials if trial not in stopped}


def test_hours_and_money(found: Content) -> None:
    numbers = dict(found.numbers)
    assert numbers["training"] == "4.0 min"  # 24 trials of 10 seconds
    assert numbers["cost"] == "0.24"
    assert dict(found.cost)["from the first result to the last"] == "110.0 s"


def test_everything_is_one_printable_line(found: Content) -> None:
    facts = [*found.numbers, *found.cost, *found.settings, *found.versions]
    for text in [found.lead, found.start, *(value for _, value in facts), *(reason for reason, _ in found.reasons)]:
        assert text.isprintable()


def test_attempts_that_were_lost_by_how_they_ended_and_since_when(found: Content) -> None:
    crashed, disrupted = found.losses
    assert [kind for kind, _ in found.losses] == ["crashed", "disrupted"], "the newest first"
    assert (crashed[1].attempts, crashed[1].since, crashed[1].last) == (3, at(20), at(40))
    assert (disrupted[1].attempts, disrupted[1].since) == (1, at(10))
    assert crashed[1].detail.startswith("</script>")
    assert "\n" not in crashed[1].detail


def test_a_run_that_loses_every_attempt_says_so_before_any_number(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    view = write_run(store)
    history = read_history(store, view)
    view.state.finished = None
    losses, detail = view.state.losses, "the store does not know the key"
    losses.in_a_row = 0
    for second in range(100, 400, 100):
        assert not any("in a row" in note for note in content(view, history, None, None).notes)
        losses.add(at(second), "cut off", detail)
    notes = content(view, history, None, None).notes
    assert f"3 attempts in a row were lost since {at(100)}, and none succeeded." in notes
    view.state.braked = Braked(at=at(500), given_back={}, under_way={})
    notes = content(view, history, None, None).notes
    assert any(note.startswith(f"No attempt but a probe has begun since {at(500)}: ") for note in notes)
