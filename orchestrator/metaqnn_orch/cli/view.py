"""Shows a run while it goes on: a line for each event and, on a terminal, a screen below the lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from types import TracebackType

from rich.console import Console
from rich.live import Live

from metaqnn_orch.application.epochs import Slowly, TrialsInTraining
from metaqnn_orch.application.listener import PACE, LiveRun, Tone, introduction, where
from metaqnn_orch.application.waits import Waits
from metaqnn_orch.cli.output import Progress, cell, say, tell
from metaqnn_orch.cli.screen import Screen, confirmed_mean, outcome, times
from metaqnn_orch.control.confirmation import progress
from metaqnn_orch.control.events import Abandoned, Event, Failed, Opened, Released, Shortlisted, Told
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.reporting.standing import standing


class Terminal:
    """A listener that writes for the person who reads standard error."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Progress()

    def say(self, line: str, tone: Tone = Tone.PLAIN) -> None:
        # The line is printed by the console that draws the screen, so that it stands above the screen.
        tell(line, tone, to=self._console)

    def follow(self, run: LiveRun) -> SearchView:
        return SearchView(self._console, run)


class SearchView:
    """A view of a run; it is a context manager around the code that follows the run."""

    def __init__(self, console: Console, run: LiveRun, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._run = run
        self._state = state = run.state
        self._monotonic = monotonic
        self._shown = state.unique
        self._leader = best_before(state)
        self._confirmed = done_of(state)
        self._waits = Waits(
            lambda text: self._say((f"waiting: {text}", "yellow")), lambda: self._say(("going on", "green")), monotonic
        )
        self._silence = ""
        self._drawn: Screen | None = None
        self._courses = TrialsInTraining(state, run.epochs)
        self._slowly = Slowly(monotonic)
        self._drawn_at = float("-inf")
        self._live = Live(console=console, auto_refresh=False) if console.is_interactive else None

    def __enter__(self) -> SearchView:
        self._courses.__enter__()
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._courses.__exit__()
        if self._live is not None:
            if self._drawn is not None and error is None:
                self._live.update(self._screen("", works=False))  # it stays
            self._live.stop()

    def happened(self, event: Event) -> None:
        """Show an event that the state has already taken in."""
        self._tell(event)
        self.refresh()

    def recall(self, events: Iterable[Event]) -> None:
        """Show which run this is and, where a person looks, its last trials before this view existed."""
        self._introduce()
        told = [event for event in events if isinstance(event, Told)] if self._live is not None else []
        self._shown -= sum(not self._state.trials[event.trial].confirms for event in told)
        self._confirmed -= sum(bool(self._state.trials[event.trial].confirms) for event in told)
        self._leader = best_before(self._state, {event.trial for event in told})
        for event in told:
            self._told(event)

    def trouble(self, text: str) -> None:
        """Show what the run is waiting for; an empty text when the wait is over."""
        self._waits.trouble(text)

    def silence(self, text: str) -> None:
        """Show what the store leaves without an answer. The screen is drawn with the numbers that it had: whoever
        changes them may be doing so now.
        """
        self._silence = text
        if self._live is None or self._drawn is None:
            self._say((f"waiting: {text}", "yellow") if text else ("the store answers again", "green"))
        else:
            self._live.update(self._drawn.with_foot(self._foot_now), refresh=True)

    def _say(self, *parts: str | tuple[str, str]) -> None:
        say(*parts, to=self._console)

    @property
    def _foot_now(self) -> str:
        waits = "; ".join(text for text in (self._silence, self._waits.text) if text)
        return f"waiting: {waits}" if waits else self._run.foot

    def refresh(self) -> None:
        """Draw the screen, if it is time to. It is called often, also while nothing happens."""
        self._waits.refresh()
        if self._monotonic() < self._drawn_at + PACE:
            return
        self._drawn_at = self._monotonic()
        if self._live is not None:
            self._drawn = self._screen(self._foot_now, works=self._run.works())
            self._live.update(self._drawn, refresh=True)
            return
        for course in self._slowly.due(self._courses.now() if self._run.works() else []):
            self._say((f"epoch {course.epoch} of {course.epochs}, {course.reward:.4f} so far  {course.net}", "dim"))

    def _screen(self, foot: str, *, works: bool) -> Screen:
        numbers = standing(self._state, self._run.now(), works=works)
        head = " · ".join([self._run.record.run, self._run.record.dataset.name, *where(self._state)])
        return Screen(head, numbers, numbers.used.wall_clock_hours, self._courses.now() if works else [], foot)

    @property
    def _goal(self) -> int:
        return self._state.opened.goal if self._state.opened is not None else self._state.settings.goal

    def _introduce(self) -> None:
        self._say(introduction(self._run.record, self._state))
        if self._live is None:  # the screen shows it all the time
            self._say((self._run.foot, "dim"))

    def _tell(self, event: Event) -> None:
        match event:
            case Opened():
                self._introduce()
            case Told():
                self._told(event)
            case Shortlisted(trials=trials, repeats=repeats) if trials:
                self._confirmed = done_of(self._state)
                self._say((f"confirming the best {len(trials)}: each is trained {times(repeats)} more", "bold"))
            case Failed(trial=trial, attempt=attempt, kind=kind, detail=detail):
                self._say((f"trial {trial}, attempt {attempt}, {kind}: {detail}", "yellow"))
            case Released(why=why):
                self._say((f"the brake is released: {why}", "green"))
            case Abandoned(trial=trial):
                self._confirmed += bool(self._state.trials[trial].confirms)
                self._say((f"trial {trial} is abandoned: {self._state.trials[trial].net}", "red"))

    def _told(self, event: Told) -> None:
        trial, completed = self._state.trials[event.trial], event.status == "completed"
        if trial.confirms:
            self._confirmed += 1  # the state may be ahead: it takes in several results at once
            found = progress(self._state)
            place = f"confirming {self._confirmed} of {found.all}  " if found is not None else ""
            self._say(place, outcome(event), f", {confirmed_mean(trial, self._state)}  {trial.net}")
            return
        remark = ("", "")
        if completed and (self._leader is None or trial.order < self._leader.order):
            self._leader, remark = trial, ("  best so far", "bold")  # of those shown: the state may know better ones
        if event.measured is not None:
            remark = (f"  stopped early at {event.measured:.4f}", "dim")
        self._shown += 1
        origin = trial.origin if trial.epsilon is None else f"epsilon {trial.epsilon:.2f}"
        self._say(
            f"{self._shown:>{len(str(self._goal))}}/{self._goal}  {origin}{'  ' if origin else ''}",
            (f"{outcome(event):<11}", "bold" if completed else "dim"),
            f"  {event.params:>9,} params  {cell(event.seconds, '.1f'):>6} s  {trial.net}",
            remark,
        )


def best_before(state: RunState, told: Collection[str] = ()) -> Trial | None:
    """The best trained net that is not of these trials."""
    return next((trial for trial in state.ranking() if trial.trial not in told), None)


def done_of(state: RunState) -> int:
    """Number of repetitions of the present shortlist that have ended."""
    found = progress(state)
    return found.done if found is not None else 0
