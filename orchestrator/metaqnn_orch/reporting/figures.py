"""The figures of a report as values: what each shows, its numbers, and its drawing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import ceil, floor, inf
from typing import Any, Final, NamedTuple

from metaqnn_orch.reporting import statistics
from metaqnn_orch.reporting.history import EndedTrial, History
from metaqnn_orch.reporting.palette import Palette
from metaqnn_orch.reporting.timeline import timeline
from metaqnn_orch.reporting.vega import WIDTH, Figure, Rows, axis, counted, said, spec
from metaqnn_trainer.contract.text import amount

_MAX_HOVER_POINTS: Final = 300  # points of a line: more lie closer together than a mouse can point
_LETTER: Final = 7  # pixels: the label of a bar is left out where it does not fit


class Scale(NamedTuple):
    """The rewards of a run on an axis."""

    title: str
    low: float
    high: float
    form: str
    """The format of a number on the axis."""

    @property
    def domain(self) -> dict[str, list[float]]:
        """The domain of an axis. Every figure has the same, so that heights can be compared."""
        return {"domain": [self.low, self.high]}


ACCURACY: Final = "validation accuracy"


def scale_of(ended: Sequence[EndedTrial], title: str = "reward") -> Scale:
    """A scale from the lowest reward to the highest; of accuracies, in whole tenths."""
    rewards = [item.reward for item in ended]
    low, high = min(rewards, default=0.0), max(rewards, default=1.0)
    if title == ACCURACY:
        tenths = min(floor(low * 10), 9)
        return Scale(title, tenths / 10, max(ceil(high * 10), tenths + 1) / 10, ".2f")
    return Scale(title, low, high if high > low else low + max(1.0, abs(low)), ".4g")


def figures(history: History, scale: Scale, colours: Palette) -> list[Figure]:
    """The figures of the course of a run, as far as it has numbers for them."""
    ended = history.ended
    made = [
        best_so_far(ended, scale, colours),
        learning(ended, scale, colours),
        histograms(ended, scale, colours),
        timeline(history, colours),
    ]
    return [figure for figure in made if figure.rows]


def best_so_far(ended: Sequence[EndedTrial], scale: Scale, colours: Palette) -> Figure:
    """The best reward against the number of nets. What was predicted of a net that was stopped early does not count."""
    counted = [item.reward if item.trial.was_trained else -inf for item in ended]
    course = [*accumulate(counted, max)]
    rows: Rows = [
        {"net": number, "trial": item.trial.trial, "best": best}
        for number, (item, best) in enumerate(zip(ended, course, strict=True), 1)
        if best > -inf
    ]
    steps: Rows = [
        {"net": number, "best": best, "text": f"net {number:,}: {best:.4f}, {item.trial.net}"}
        for number, (item, best, before) in enumerate(zip(ended, course, [-inf, *course], strict=False), 1)
        if best > before
    ]
    x = _nets("net", len(ended))
    y = axis("best", "quantitative", f"best {scale.title}", scale=scale.domain)
    ends = [*steps, *rows[-1:]]
    drawn = spec(
        colours,
        height=200,
        layer=[
            {
                "data": {"values": ends},
                "mark": {"type": "line", "interpolate": "step-after", "color": colours.accent, "aria": False},
                "encoding": {"x": x, "y": y},
            },
            {
                "data": {"values": steps},
                "mark": {"type": "circle", "color": colours.accent, "opacity": 1, "size": 44},
                "encoding": {"x": x, "y": y, **said("text")},
            },
        ],
    )
    caption = f"The best {scale.title} after each number of nets; a point is a net that was better than all before it."
    return Figure("best-so-far", "Best so far", caption, rows, drawn)


def learning(ended: Sequence[EndedTrial], scale: Scale, colours: Palette) -> Figure:
    """The rewards over the course of the search (the paper's Figure 3)."""
    means = statistics.rolling_means([item.reward for item in ended])
    line = [{"net": number, "rolling_mean": mean} for number, mean in enumerate(means, 1)]
    has_accuracy = any(item.trial.val_accuracy is not None for item in ended)
    rows = [
        {**point, "reward": item.reward}
        | ({"accuracy": item.trial.val_accuracy} if has_accuracy else {})
        | {"epsilon": item.trial.epsilon}
        for point, item in zip(line, ended, strict=True)
    ]
    points = line[:: -(-len(line) // _MAX_HOVER_POINTS)] if line else []
    named = _names(ended)
    bars = [
        {
            **phase._asdict(),
            "last": phase.first + phase.nets,
            "label": short if phase.nets * WIDTH >= _LETTER * len(short) * len(ended) else "",
            "text": f"{long}: {amount(phase.nets, 'net')}, mean {phase.mean:.4f}, best {phase.best:.4f}",
        }
        for phase in statistics.phases((item.trial.epsilon, item.reward) for item in ended)
        for short, long in [named(phase.epsilon)]
    ]
    x = _nets("net", len(ended))
    y = axis("rolling_mean", "quantitative", scale.title, scale=scale.domain)
    drawn = spec(
        colours,
        height=260,
        layer=[
            {
                "data": {"values": bars},
                "mark": {"type": "rect", "color": colours.accent, "fillOpacity": 0.14, "stroke": colours.page},
                "encoding": {
                    "x": {**x, "field": "first"},
                    "x2": {"field": "last"},
                    "y": {**y, "field": "mean"},
                    "y2": {"datum": scale.low},
                    **said("text"),
                },
            },
            {
                "data": {"values": bars},
                "transform": [{"calculate": "(datum.first + datum.last) / 2", "as": "middle"}],
                "mark": {"type": "text", "baseline": "bottom", "dy": -3, "color": colours.soft, "aria": False},
                "encoding": {
                    "x": {**x, "field": "middle"},
                    "y": {"datum": scale.low},
                    "text": {"field": "label"},
                },
            },
            {
                "data": {"values": line},
                "mark": {"type": "line", "color": colours.accent, "strokeWidth": 1.8, "aria": False},
                "encoding": {"x": x, "y": y},
            },
            {
                "data": {"values": points},
                "transform": [
                    {"calculate": "'after ' + datum.net + ' nets: ' + format(datum.rolling_mean, '.4f')", "as": "text"}
                ],
                "mark": {"type": "point", "opacity": 0, "size": 90, "filled": True},
                "encoding": {"x": x, "y": y, **said("text")},
            },
        ],
    )
    return Figure(
        "figure-3-learning",
        "Learning",
        f"Mean {scale.title} of the last {statistics.ROLLING} nets (line) and of all nets"
        + (" of each epsilon (bars, labelled with epsilon)" if _by_epsilon(ended) else " (bar)")
        + ". The paper's Figure 3.",
        rows,
        drawn,
    )


def histograms(ended: Sequence[EndedTrial], scale: Scale, colours: Palette) -> Figure:
    """Histograms of the rewards by epsilon (the paper's Figure A2)."""
    found = ((item.trial.epsilon, item.reward) for item in ended)
    bins = statistics.histograms(found, low=scale.low, high=scale.high)
    rows = [bar._asdict() for bar in bins]
    named = _names(ended)
    values = [
        {
            **row,
            "epsilon": short,
            "text": f"{long}: {amount(row['nets'], 'net')} ({row['share']:.1%}) "
            f"from {row['low']:{scale.form}} to {row['high']:{scale.form}}",
        }
        for row in rows
        if row["nets"]
        for short, long in [named(row["epsilon"])]
    ]
    drawn = spec(
        colours,
        data={"values": values},
        spacing=6,
        facet={
            "row": {
                "field": "epsilon",
                "type": "ordinal",
                "sort": [*dict.fromkeys(named(row["epsilon"])[0] for row in rows)],
                "title": "epsilon" if _by_epsilon(ended) else None,
                "header": {"labelAngle": 0, "labelAlign": "left", "labelPadding": 8, "titlePadding": 6},
            }
        },
        spec={
            "width": WIDTH,
            "height": 30,
            "mark": {"type": "rect", "color": colours.accent, "fillOpacity": 0.75, "stroke": colours.page},
            "encoding": {
                "x": axis("low", "quantitative", scale.title, scale=scale.domain),
                "x2": {"field": "high"},
                "y": {**axis("share", "quantitative", None), "axis": None, "stack": None},
                "y2": {"datum": 0},
                **said("text"),
            },
        },
    )
    return Figure(
        "figure-a2-histograms",
        ("Accuracies" if scale.title == ACCURACY else "Rewards") + (" by epsilon" if _by_epsilon(ended) else ""),
        f"The share of nets at each {scale.title}"
        + (", with a row for each epsilon, all on the same scale" if _by_epsilon(ended) else "")
        + ". The paper's Figure A2.",
        rows,
        drawn,
    )


def _nets(field: str, nets: int) -> dict[str, Any]:
    return counted(field, "nets trained", nets, scale={"domain": [0, nets], "nice": False})


def _by_epsilon(ended: Sequence[EndedTrial]) -> bool:
    """Whether the searcher has any."""
    return any(item.trial.epsilon is not None for item in ended)


def _names(ended: Sequence[EndedTrial]) -> Callable[[float | None], tuple[str, str]]:
    """How a group of nets is called, by its epsilon: briefly, and in words. Nets without one are all nets where the
    searcher has none; else a person entered them, or they were imported.
    """
    without = [item.trial for item in ended if item.trial.epsilon is None]
    rest = (
        ("all", "all nets")
        if len(without) == len(ended)
        else ("by hand", "entered by hand")
        if all(trial.origin for trial in without)
        else ("none", "without an epsilon")
    )

    def named(epsilon: float | None) -> tuple[str, str]:
        if epsilon is None:
            return rest
        short = f"{epsilon:.1f}" if round(epsilon, 1) == epsilon else f"{epsilon:g}"
        return short, f"epsilon {short}"

    return named
