"""A search that a program follows: it is logged, a function is called for each trial, and a notebook shows it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from html import escape
from typing import Any, Final, Protocol

from metaqnn_orch import markup
from metaqnn_orch.application.listener import LiveRun, Tone, View, where
from metaqnn_orch.application.logged import LOG, Logged
from metaqnn_orch.control.events import Event, Told
from metaqnn_orch.control.record import RunRecord
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.reporting.summary import shown_reward
from metaqnn_trainer.contract.text import amount

OnTrial = Callable[[Trial], object]
_PACE: Final = 0.5  # seconds between two updates of a notebook's display


class Display(Protocol):
    """A place in a notebook that can be written to again."""

    def update(self, obj: Any) -> None: ...


class Followed:
    """A listener that logs, calls `on_trial` with each trial that ended, and shows the run in a `display`, if any."""

    def __init__(self, on_trial: OnTrial | None = None, display: Display | None = None) -> None:
        self._logged = Logged()
        self._on_trial = on_trial
        self._display = display
        self._follows = False

    def say(self, line: str, tone: Tone = Tone.PLAIN) -> None:
        self._logged.say(line, tone)
        if self._display is not None and not self._follows:  # to make a dataset, or to start trainers, takes a while
            with suppress(Exception):
                self._display.update(Html(f"<div>{escape(line)}</div>"))

    @contextmanager
    def follow(self, run: LiveRun) -> Iterator[View]:
        self._follows = True
        with self._logged.follow(run) as logged:
            view = _FollowedRun(logged, run.record, run.state, self._on_trial, self._display)
            try:
                yield view
            finally:
                view.show(works=False)


class _FollowedRun:
    def __init__(
        self, logged: View, record: RunRecord, state: RunState, on_trial: OnTrial | None, display: Display | None
    ) -> None:
        self._logged = logged
        self._record = record
        self._state = state
        self._on_trial = on_trial
        self._display = display
        self._shown = 0.0
        self._waits = ""

    def recall(self, events: Sequence[Event]) -> None:
        self._logged.recall(events)

    def happened(self, event: Event) -> None:
        self._logged.happened(event)
        if isinstance(event, Told) and self._on_trial is not None:
            try:
                self._on_trial(deepcopy(self._state.trials[event.trial]))  # the run's own cannot be changed
            except Exception:
                LOG.warning("on_trial failed for trial %s; the search goes on", event.trial, exc_info=True)
        self.refresh()

    def trouble(self, text: str) -> None:
        self._waits = text
        self._logged.trouble(text)

    def silence(self, text: str) -> None:
        self._logged.silence(text)

    def refresh(self) -> None:
        self._logged.refresh()
        if time.monotonic() - self._shown >= _PACE:
            self.show()

    def show(self, *, works: bool = True) -> None:
        """Show the present state; `works` says whether anybody works on the run. A notebook that went away is no reason
        to end a search.
        """
        self._shown = time.monotonic()
        if self._display is None:
            return
        try:
            self._display.update(Html(progress(self._record, self._state, self._waits, works=works)))
        except Exception as error:
            self._display = None
            LOG.warning("the progress cannot be shown any more: %s", error)


class Html:
    """HTML that a notebook shows."""

    def __init__(self, text: str) -> None:
        self._text = text

    def _repr_html_(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "progress of a search"


def progress(record: RunRecord, state: RunState, waits: str = "", *, works: bool = True) -> str:
    """A run on which somebody `works`, or did, as HTML of a few lines."""
    goal = state.opened.goal if state.opened is not None else state.settings.goal
    told = [trial.reward for trial in state.trials.values() if trial.was_trained and trial.reward is not None]
    best = [max(told[: number + 1]) for number in range(len(told))] if len(told) < 500 else []
    flight = "in training" if works or not state.in_flight else "waiting"
    words = [
        f"<b>{escape(record.run)}</b> on {escape(record.dataset.name)} {markup.bar(state.unique / max(1, goal))} "
        f"{state.unique:,} of {amount(goal, 'net')}, {len(state.in_flight):,} {flight}"
        + "".join(f", {escape(place)}" for place in where(state)),
        *([] if state.epsilon is None else [f"epsilon {state.epsilon:.2f}"]),
    ]
    if state.best is not None:
        line = markup.sparkline(best, min(best, default=0.0), max(best, default=1.0), "best so far")
        words.append(f"best {shown_reward(state.best)} {line} <code>{escape(state.best.net)}</code>")
    if waits:
        words.append(f"waiting: {escape(waits)}")
    return f"<div>{'<br>'.join(words)}</div>"


def notebook_display() -> Display | None:
    """A place below the present cell; None outside of a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    handle: Display = display(Html("<div>starting</div>"), display_id=True)  # type: ignore[no-untyped-call]
    return handle
