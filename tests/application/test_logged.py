"""A search from Python: quiet, unless its log is asked for."""

from __future__ import annotations

import logging

import pytest

from metaqnn_orch.application.listener import LiveRun, Tone
from metaqnn_orch.application.logged import Logged
from metaqnn_orch.control.journal import Journal
from metaqnn_orch.control.state import RunState
from metaqnn_trainer.store.directory import DirectoryStore
from tests.control.world import Session, settings


def test_a_run_in_the_log(store: DirectoryStore, caplog: pytest.LogCaptureFixture) -> None:
    session = Session(store, settings())
    session.run_to_end()
    state = RunState(settings())
    with (
        caplog.at_level(logging.INFO, "metaqnn_orch"),
        Logged().follow(LiveRun(session.record, state, foot="", now=lambda: "now")) as view,
    ):
        for event in Journal(store, "test").read():
            state.apply(event)
            view.happened(event)
            view.refresh()
    first, *told = caplog.messages
    assert first == "run test on digits: 0 of 12 nets trained, 2 at a time (scripted)"
    assert [line.split(": ")[0] for line in told] == [f"trial {trial}" for trial in state.trials]
    assert state.best is not None
    assert f"trial {state.best.trial}: completed, {state.best.val_accuracy:.4f}, {state.best.net}" in told


def test_what_is_in_the_way_is_a_warning_and_nothing_else_is(
    store: DirectoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    session = Session(store, settings())
    session.open()
    listener = Logged()
    with caplog.at_level(logging.DEBUG, "metaqnn_orch"):
        listener.say("making it")
        listener.say("metrics at port 1", Tone.ASIDE)
        listener.say("stopping at once", Tone.CAUTION)
        with listener.follow(LiveRun(session.record, RunState(settings()), foot="", now=lambda: "now")) as view:
            for text in ("away for 3 s", "away for 5 s", "key is refused", "", "", "away for 1 s"):
                view.trouble(text)
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "making it"),
        ("DEBUG", "metrics at port 1"),
        ("WARNING", "stopping at once"),
        ("WARNING", "waiting: away for 3 s"),
        ("WARNING", "waiting: key is refused"),
        ("INFO", "going on"),
    ]
