"""A run on one screen: a renderable of rich, from 60 columns up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from metaqnn_orch.application.epochs import TrialInTraining
from metaqnn_orch.cli.output import cell, visible
from metaqnn_orch.control.events import (
    Told,
)
from metaqnn_orch.control.state import RunState
from metaqnn_orch.control.trial import Trial
from metaqnn_orch.reporting.standing import Stage, Standing
from metaqnn_orch.reporting.summary import shown_reward

FIXED_LINES: Final = 17  # lines of a screen, at most: everything but the nets in training
_FOR_EVER: Final = 100 * 365 * 86_400.0  # seconds
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_LABEL: Final = 12  # columns: the longest is epsilon 0.10


def outcome(event: Told) -> str:
    """The reward, after ~ where it was predicted; for a trial without a reward of its own, how it ended."""
    match event.status:
        case "completed":
            return f"{event.reward:.4f}"
        case "stopped_early":
            return f"~{event.reward:.4f}"
        case status:
            return status.replace("_", " ")


def confirmed_mean(repetition: Trial, state: RunState) -> str:
    """The mean that a repetition changed."""
    confirmed = state.trials[repetition.confirms]
    mean = confirmed.mean_reward
    return f"mean of {len(confirmed.trainings)}: " + ("-" if mean is None else f"{mean:.4f}")


def times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


class Screen:
    """Draws the screen: head, two bars, numbers, the nets in training, foot."""

    def __init__(
        self, head: str, standing: Standing, hours: float, courses: Sequence[TrialInTraining], foot: str
    ) -> None:
        """`hours` is the work so far, including the present session. Without a `foot` the screen has none."""
        self._head = head
        self._standing = standing
        self._hours = hours
        self._courses = courses
        self._foot = foot

    def with_foot(self, foot: str) -> Screen:
        return Screen(self._head, self._standing, self._hours, self._courses, foot)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._top()
        yield Text()
        yield self._bars()
        yield Text()
        yield self._numbers(fancy=not options.ascii_only)
        room = max(1, (console.height if console.is_terminal else 100) - FIXED_LINES)
        if self._courses:
            yield Text()
            yield self._training(self._courses[:room])
        yield Text()
        if self._foot:
            yield Text(visible(self._foot), style="dim", no_wrap=True, overflow="ellipsis")

    def _top(self) -> Table:
        table = Table.grid(expand=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True)
        table.add_row(Text(visible(self._head), style="bold"), Text(span(self._hours * 3600), style="dim"))
        return table

    def _bars(self) -> Table:
        now = self._standing
        table = Table.grid(expand=True, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, min_width=_LABEL)
        table.add_column(ratio=1)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True)
        phase = [] if now.epsilon is None else [(f"epsilon {now.epsilon:.2f}", now.phase)]
        again = [("confirming", now.confirming)] if now.confirming is not None else []
        for name, part in (("all", now.whole), *phase, *again):
            table.add_row(Text(name, style="dim"), _bar(part), f"{part.done:,} of {part.nets:,}", _left(part))
        return table

    def _numbers(self, *, fancy: bool) -> Table:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True, min_width=_LABEL)
        table.add_column(overflow="fold")
        for name, value in self._rows(fancy=fancy):
            table.add_row(name, value)
        return table

    def _rows(self, *, fancy: bool) -> Iterator[tuple[str, Text]]:
        now = self._standing
        if now.best is not None:
            yield "best", Text.assemble((shown_reward(now.best), "bold"), "  ", (visible(now.best.net), ""))
        if now.recent_mean is not None:
            curve = f"  {sparkline(now.curve)}" if fancy and len(now.curve) > 1 else ""
            yield (
                "mean",
                Text.assemble((f"{now.recent_mean:.4f}", "bold"), f"  of the last {now.recent}", (curve, "green")),
            )
        trials = [(count, name.replace("_", " ")) for name, count in now.endings.items()]
        yield "trials", _counts([(now.waiting, "waiting") if now.waiting else (now.in_flight, "in training"), *trials])
        lost = [*((count, kind) for kind, count in now.lost.items()), (now.abandoned, "abandoned")]
        if any(count for count, _ in lost):
            yield "lost", _counts([(count, name) for count, name in lost if count], "yellow")
        if now.images_per_second:
            yield "speed", Text(f"{cell(now.images_per_second, ',.0f')} examples/s")
        budget, ahead = now.budget, now.forecast
        yield "GPU-hours", _amount(now.used.gpu_hours, ahead and ahead.gpu_hours, budget.gpu_hours)
        if now.used.money is not None:
            yield (
                "money",
                _amount(
                    now.used.money, ahead and ahead.money, budget.money, f" {visible(budget.currency or '')}".rstrip()
                ),
            )
        if budget.wall_clock_hours is not None:
            yield "hours", _amount(self._hours, ahead and ahead.wall_clock_hours, budget.wall_clock_hours)
        if now.limit:
            yield "stops", Text(now.limit, style="yellow")

    def _training(self, courses: Sequence[TrialInTraining]) -> Table:
        table = Table.grid(expand=True, padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True, min_width=_LABEL)
        table.add_column(no_wrap=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for course in courses:
            table.add_row(
                f"epoch {course.epoch}/{course.epochs}",
                "-" if course.reward is None else f"{course.reward:.4f}",
                Text(visible(course.net).replace("\n", " ")),
            )
        return table


def sparkline(values: Sequence[float]) -> str:
    """Values as a row of blocks: the lowest value is the lowest block, the highest value the highest."""
    low, high = min(values), max(values)
    if low == high:
        return _BLOCKS[len(_BLOCKS) // 2] * len(values)
    return "".join(_BLOCKS[round((value - low) / (high - low) * (len(_BLOCKS) - 1))] for value in values)


def span(seconds: float) -> str:
    """A waiting time in one or two units."""
    if seconds >= _FOR_EVER:
        return "more than 100 years"
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def _bar(part: Stage) -> ProgressBar:
    return ProgressBar(
        total=max(1, part.nets),
        completed=part.done,
        complete_style="green",
        finished_style="green",
        style="bright_black",
    )


def _left(part: Stage) -> Text:
    if part.done >= part.nets:
        return Text("done", style="dim")
    return Text("" if part.seconds_left is None else f"{span(part.seconds_left)} to go", style="dim")


def _counts(counts: Sequence[tuple[int, str]], style: str = "") -> Text:
    text = Text()
    for count, name in counts:
        text.append("  " if text else "")
        text.append(f"{count:,}", style=style or "bold")
        text.append(f" {name}", style="dim")
    return text


def _amount(so_far: float, ahead: float | None, most: float | None, unit: str = "") -> Text:
    text = Text.assemble((f"{_short(so_far)}{unit}", "bold"))
    if ahead is not None:
        text.append(f"  about {_short(ahead)} in all", style="dim")
    if most is not None:
        text.append(f"  budget {most:,.6g}", style="dim")
    return text


def _short(value: float) -> str:
    return cell(value, ",.2f" if value >= 1 or not value else ".2g")
