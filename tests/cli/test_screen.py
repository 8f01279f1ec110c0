"""The live screen, as text of a given width."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from metaqnn_orch.application.epochs import TrialInTraining
from metaqnn_orch.cli.screen import Screen, span, sparkline
from metaqnn_orch.reporting.standing import standing
from metaqnn_orch.settings.budget import BudgetSettings
from metaqnn_trainer.store.directory import DirectoryStore
from tests.reporting.runs import at, write_run


def screen(store: DirectoryStore, *, width: int, height: int = 40, **console: bool) -> str:
    view = write_run(store)
    state = view.state
    assert state.opened is not None
    budget = BudgetSettings(price_per_gpu_hour=2.5, money=90.0, wall_clock_hours=20.0, currency="EUR")
    state.opened = state.opened.model_copy(update={"budget": budget, "places": 10})
    nets = [*state.trials.values()]
    lines = [
        TrialInTraining(trial.trial, trial.net, number, 20, 0.5 if number else None)
        for number, trial in enumerate(nets[:8])
    ]
    numbers = standing(state, at(100))
    made = Screen(
        "first · digits · 10 at a time (local)", numbers, 1.5, lines, "Ctrl-C stops, the same command goes on"
    )
    written = io.StringIO()
    Console(file=written, width=width, height=height, **console).print(made)  # type: ignore[arg-type]
    return written.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_it_fits_and_says_everything(width: int, tmp_path: Path) -> None:
    text = screen(DirectoryStore(tmp_path), width=width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("first · digits · 10 at a time")
    assert lines[0].endswith("1 h 30 min")
    assert lines[-1] == "Ctrl-C stops, the same command goes on"
    for part in (
        *("24 of 48", "epsilon", "best", "mean", "of the last 24", "▁"),
        *("epoch 0/20 -", "epoch 7/20 0.5000"),
        *("1 in training", "22 completed", "1 untrainable", "1 too large"),
        *("3 crashed", "1 disrupted", "1 abandoned"),
        *("GPU-hours", "money", "EUR", "budget 90", "hours", "budget 20"),
    ):
        assert part in " ".join(text.split()), (part, text)


def test_colours_are_left_out_where_nobody_wants_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[32m" in screen(DirectoryStore(tmp_path / "colours"), width=80, force_terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = screen(DirectoryStore(tmp_path / "none"), width=80, force_terminal=True)
    assert "\x1b[32m" not in plain
    assert "[33m" not in plain


def test_a_low_terminal_has_fewer_of_the_nets_in_training(tmp_path: Path) -> None:
    high = screen(DirectoryStore(tmp_path / "high"), width=80, height=40, force_terminal=True)
    low = screen(DirectoryStore(tmp_path / "low"), width=80, height=20, force_terminal=True)
    assert len(low.splitlines()) <= 20 < len(high.splitlines())


def test_what_others_wrote_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    numbers = standing(write_run(store).state, at(100))
    evil = TrialInTraining("0" * 12, "[red]\x1b]0;owned\x07\n\u202e\x1b[2J", 1, 2, 0.5)
    written = io.StringIO()
    Console(file=written, width=100).print(Screen("\x1b[2J", numbers, 0.0, [evil], "\x9b2J"))
    assert written.getvalue().replace("\n", "").isprintable()
    assert "[red]" in written.getvalue()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_a_sparkline_has_a_block_for_each_value(values: list[float]) -> None:
    line = sparkline(values)
    assert len(line) == len(values)
    if min(values) < max(values):
        assert line[values.index(min(values))] == "▁"
        assert line[values.index(max(values))] == "█"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.4, "0 s"),
        (89.0, "89 s"),
        (90.0, "2 min"),
        (3600.0, "60 min"),
        (7500.0, "2 h 05 min"),
        (200_000.0, "2 d 7 h"),
    ],
)
def test_times(seconds: float, shown: str) -> None:
    assert span(seconds) == shown
