"""Tables and figure of what the searches found, each number with its 95 % confidence interval over the seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Final, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from scipy.stats import t as student

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.search import Trace

COLOURS: Final = {  # of Okabe and Ito, told apart by colour-blind eyes too
    "MetaQNN": "#D55E00",
    "random": "#7F7F7F",
    "regularised evolution": "#009E73",
    "Optuna TPE": "#0072B2",
}


class Interval(NamedTuple):
    """A mean and half the width of its 95 % confidence interval (Student's t)."""

    mean: float
    half: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.half:.3f}"


def interval(values: Sequence[float]) -> Interval:
    if len(values) < 2:
        return Interval(values[0], float("nan"))
    return Interval(fmean(values), float(student.ppf(0.975, len(values) - 1)) * stdev(values) / sqrt(len(values)))


def tables(traces: Sequence[Trace]) -> str:
    """Markdown: one table for each budget, and one of MetaQNN's phases at the largest."""
    lines = []
    for budget in sorted({trace.budget for trace in traces}):
        lines += [
            f"**{budget} different nets, {len({trace.seed for trace in traces})} seeds**",
            "",
            "| searcher | mean of the last 100 | best net found | seconds a search |",
            "|---|---|---|---|",
        ]
        for name, group in _by_searcher(traces, budget):
            last, best = (interval([getattr(trace, field) for trace in group]) for field in ("last", "best"))
            lines.append(f"| {name} | {last} | {best} | {fmean(trace.seconds for trace in group):.1f} |")
        lines.append("")
    epsilons, phases = _phases(traces)
    rise = interval([list(p.values())[-1] - next(iter(p.values())) for p in phases])
    lines += [
        f"**MetaQNN's mean accuracy by epsilon** (rise from first to last: {rise})",
        "",
        "| epsilon | " + " | ".join(epsilons) + " |",
        "|---" * (len(epsilons) + 1) + "|",
        "| mean | " + " | ".join(f"{interval([p[e] for p in phases]).mean:.3f}" for e in epsilons) + " |",
        "| ± | " + " | ".join(f"{interval([p[e] for p in phases]).half:.3f}" for e in epsilons) + " |",
        "",
    ]
    return "\n".join(lines)


def draw(traces: Sequence[Trace], path: Path) -> None:
    """Figure 3's shape, and how the searches come along, as one file of four panels."""
    small, large = (choose(trace.budget for trace in traces) for choose in (min, max))
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "metaqnn", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}
    ):
        drawing = Figure(figsize=(10, 7), layout="constrained")
        (phases, recent), (best, cramped) = drawing.subplots(2, 2)
        _draw_phases(phases, traces)
        _draw_curves(recent, traces, large, "recent", f"mean of the last 100, {large} nets")
        _draw_curves(best, traces, large, "best_so_far", f"best net so far, {large} nets")
        _draw_curves(cramped, traces, small, "recent", f"mean of the last 100, {small} nets")
        drawing.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)


def _draw_phases(axes: Axes, traces: Sequence[Trace]) -> None:
    epsilons, phases = _phases(traces)
    intervals = [interval([p[e] for p in phases]) for e in epsilons]
    axes.bar(
        epsilons, [i.mean for i in intervals], yerr=[i.half for i in intervals], capsize=3, color=COLOURS["MetaQNN"]
    )
    axes.set(title="MetaQNN: mean accuracy by epsilon", xlabel="epsilon", ylabel="accuracy", ylim=(0, 1))
    axes.grid(visible=False, axis="x")


def _draw_curves(axes: Axes, traces: Sequence[Trace], budget: int, field: str, title: str) -> None:
    for name, group in _by_searcher(traces, budget):
        points = [interval(values) for values in zip(*(getattr(trace, field) for trace in group), strict=True)]
        means, halves = [p.mean for p in points], [p.half for p in points]
        axes.plot(group[0].at, means, color=COLOURS[name], label=name, linewidth=1.6)
        axes.fill_between(
            group[0].at,
            [m - h for m, h in zip(means, halves, strict=True)],
            [m + h for m, h in zip(means, halves, strict=True)],
            color=COLOURS[name],
            alpha=0.2,
            linewidth=0,
        )
    axes.set(title=title, xlabel="different nets evaluated", ylabel="accuracy", xlim=(0, budget))
    axes.legend(loc="lower right", frameon=False)


def _by_searcher(traces: Sequence[Trace], budget: int) -> Iterable[tuple[str, list[Trace]]]:
    for name in COLOURS:
        group = [trace for trace in traces if (trace.searcher, trace.budget) == (name, budget)]
        if group:
            yield name, group


def _phases(traces: Sequence[Trace]) -> tuple[list[str], list[dict[str, float]]]:
    """MetaQNN's epsilons at the largest budget, in their order, and each seed's means."""
    largest = max(trace.budget for trace in traces)
    phases = [trace.phases for trace in traces if (trace.searcher, trace.budget) == ("MetaQNN", largest)]
    return list(phases[0]), phases
