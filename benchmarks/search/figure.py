"""The figure of a page: the best design so far against trainings, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.search.contestants import CONTESTANTS, contestant
from benchmarks.search.report import Results
from benchmarks.search.statistics import interval_of_curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS: Final = 40  # of a curve
_COLOURS: Final = ("#D55E00", "#009E73", "#56B4E9", "#0072B2", "#CC79A7", "#E69F00", "#8C6D00", "#000000", "#7F7F7F")
_SHOWN: Final = [name for name, who in CONTESTANTS.items() if not who.confirms]  # until then it is as another one's
COLOURS: Final = dict(zip(_SHOWN, _COLOURS, strict=True))  # of Okabe and Ito, for colour-blind eyes too


def draw(results: Sequence[Results], path: Path) -> None:
    """A panel for each landscape, three in a row."""
    columns = min(3, len(results))
    rows = -(-len(results) // columns)
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "metaqnn", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}
    ):
        drawing = Figure(figsize=(4.5 * columns + 1, 4 * rows), layout="constrained")
        panels = drawing.subplots(rows, columns, squeeze=False).flat
        for axes, result in zip(panels, results, strict=False):
            _draw(axes, result)
        for axes in [*panels][len(results) :]:
            axes.set_visible(False)
        drawing.savefig(path, metadata={"Date": None}, dpi=110)


def _draw(axes: Axes, result: Results) -> None:
    lowest = []
    for name in result.names:
        if contestant(name).confirms:
            continue
        budget = max(budget for who, budget in result.traces if who == name)
        at = sorted({max(1, round(budget ** (point / POINTS))) for point in range(1, POINTS + 1)})
        curves = [trace.curve(budget) for trace in result.traces[(name, budget)].values()]
        points = interval_of_curves([[100 * curve[n - 1] for n in at] for curve in curves])
        colour = COLOURS.get(name)
        (line,) = axes.plot(at, [point.mean for point in points], color=colour, label=name, linewidth=1.4)
        axes.fill_between(
            at,
            [point.low for point in points],
            [point.high for point in points],
            color=line.get_color(),
            alpha=0.15,
            linewidth=0,
        )
        lowest.append(next(point.mean for n, point in zip(at, points, strict=True) if n >= min(10, budget)))
    axes.set(title=result.where.name, xlabel="trainings", ylabel="true value of the best so far, %", xscale="log")
    axes.set_ylim(bottom=min(lowest))
    axes.set_xlim(left=min(10, max(result.budgets)))
    axes.legend(loc="lower right", frameon=False, fontsize=7)
