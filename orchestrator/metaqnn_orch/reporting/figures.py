"""The figures of a report as values: what each shows, its numbers, and how it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from metaqnn_orch.reporting import statistics
from metaqnn_orch.reporting.beliefs import q_by_field, q_by_layer
from metaqnn_orch.reporting.history import Ended, History
from metaqnn_orch.reporting.palette import Palette
from metaqnn_orch.reporting.timeline import timeline
from metaqnn_orch.reporting.vega import WIDTH, Figure, axis, config, said, spec
from metaqnn_orch.search.q_table import QTable

_MAX_HOVER_POINTS: Final = 300  # of a line: more lie closer together than one can point
_LABEL_WIDTH: Final = 20  # pixels below which an epsilon's number does not fit its bar
_CROWD: Final = 500  # nets from which on points lie on each other, and are drawn lighter


def figures(history: History, q_table: QTable | None, colours: Palette) -> list[Figure]:
    """All that the run has numbers for."""
    ended = history.ended
    made = [
        learning(ended, colours),
        histograms(ended, colours),
        *([q_by_layer(q_table, colours), q_by_field(q_table, colours)] if q_table is not None else []),
        size(ended, colours),
        timeline(history, colours),
    ]
    return [figure for figure in made if figure.rows]


def learning(ended: Sequence[Ended], colours: Palette) -> Figure:
    """The paper's Figure 3."""
    means = statistics.rolling_means([item.accuracy for item in ended])
    line = [{"net": number, "rolling_mean": mean} for number, mean in enumerate(means, 1)]
    rows = [
        {**point, "accuracy": item.accuracy, "epsilon": item.trial.epsilon}
        for point, item in zip(line, ended, strict=True)
    ]
    points = line[:: -(-len(line) // _MAX_HOVER_POINTS)] if line else []
    bars = [
        {
            **phase._asdict(),
            "last": phase.first + phase.nets,
            "label": _short(phase.epsilon) if phase.nets * WIDTH >= _LABEL_WIDTH * len(ended) else "",
            "text": f"{_named(phase.epsilon)}: {phase.nets:,} nets, mean {phase.mean:.4f}, best {phase.best:.4f}",
        }
        for phase in statistics.phases((item.trial.epsilon, item.accuracy) for item in ended)
    ]
    x = axis("net", "quantitative", "nets trained", scale={"domain": [0, len(ended)], "nice": False})
    y = axis("rolling_mean", "quantitative", "validation accuracy", scale={"domain": [0, 1]})
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
                    "y2": {"datum": 0},
                    **said("text"),
                },
            },
            {
                "data": {"values": bars},
                "transform": [{"calculate": "(datum.first + datum.last) / 2", "as": "middle"}],
                "mark": {"type": "text", "baseline": "bottom", "dy": -3, "color": colours.soft, "aria": False},
                "encoding": {
                    "x": {**x, "field": "middle"},
                    "y": {"datum": 0},
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
        f"Mean accuracy of the last {statistics.ROLLING} nets (line) and of all nets of each epsilon (bars, labelled "
        "with epsilon). The paper's Figure 3.",
        rows,
        drawn,
    )


def histograms(ended: Sequence[Ended], colours: Palette) -> Figure:
    """The paper's Figure A2."""
    bins = statistics.histograms((item.trial.epsilon, item.accuracy) for item in ended)
    rows = [found._asdict() for found in bins]
    values = [
        {
            **row,
            "epsilon": _short(row["epsilon"]),
            "text": f"{_named(row['epsilon'])}: {row['nets']:,} nets ({row['share']:.1%}) "
            f"from {row['low']:.2f} to {row['high']:.2f}",
        }
        for row in rows
        if row["nets"]
    ]
    drawn = spec(
        colours,
        data={"values": values},
        spacing=6,
        facet={
            "row": {
                "field": "epsilon",
                "type": "ordinal",
                "sort": "descending",
                "title": "epsilon",
                "header": {"labelAngle": 0, "labelAlign": "left", "labelPadding": 8, "titlePadding": 6},
            }
        },
        spec={
            "width": WIDTH,
            "height": 30,
            "mark": {"type": "rect", "color": colours.accent, "fillOpacity": 0.75, "stroke": colours.page},
            "encoding": {
                "x": axis("low", "quantitative", "validation accuracy", scale={"domain": [0, 1]}),
                "x2": {"field": "high"},
                "y": {**axis("share", "quantitative", None), "axis": None, "stack": None},
                "y2": {"datum": 0},
                **said("text"),
            },
        },
        config={**config(colours), "view": {"stroke": None}},
    )
    return Figure(
        "figure-a2-histograms",
        "Accuracies by epsilon",
        "The share of nets at each accuracy, a row for each epsilon, all to the same scale. The paper's Figure A2.",
        rows,
        drawn,
    )


def size(ended: Sequence[Ended], colours: Palette) -> Figure:
    """Accuracy against parameters, with the nets that none beats in both."""
    sized = [item for item in ended if item.trial.params and item.trial.was_trained]
    front = statistics.pareto_front((item.trial.params or 0, item.accuracy) for item in sized)
    on_front = set(front)
    rows = [
        {
            "trial": item.trial.trial,
            "net": item.trial.net,
            "params": item.trial.params,
            "macs": item.trial.macs,
            "accuracy": item.accuracy,
            "pareto": number in on_front,
        }
        for number, item in enumerate(sized)
    ]
    values = [
        {
            "params": row["params"],
            "accuracy": row["accuracy"],
            "pareto": row["pareto"],
            "text": f"{row['accuracy']:.4f} with {row['params']:,} parameters: {row['net']}",
        }
        for row in rows
    ]
    x = axis("params", "quantitative", "parameters", scale={"type": "log", "nice": False, "padding": 8})
    x["axis"]["format"] = "~s"
    y = axis("accuracy", "quantitative", "validation accuracy", scale={"zero": False, "padding": 8})
    drawn = spec(
        colours,
        height=300,
        layer=[
            {
                "data": {"values": [value for value in values if not value["pareto"]]},
                "mark": {
                    "type": "circle",
                    "color": colours.soft,
                    "opacity": 0.35 if len(values) > _CROWD else 0.8,
                    "size": 18,
                },
                "encoding": {"x": x, "y": y, **said("text")},
            },
            {
                "data": {"values": [values[number] for number in front]},
                "mark": {"type": "line", "interpolate": "step-after", "color": colours.accent, "aria": False},
                "encoding": {"x": x, "y": y},
            },
            {
                "data": {"values": [values[number] for number in front]},
                "mark": {"type": "circle", "color": colours.accent, "opacity": 1, "size": 44},
                "encoding": {"x": x, "y": y, **said("text")},
            },
        ],
    )
    return Figure(
        "accuracy-and-size",
        "Accuracy and size",
        "Every net by its number of parameters, but for those that were stopped early. The line joins the nets that no "
        "other beats in both: the Pareto front.",
        rows,
        drawn,
    )


def _named(epsilon: float | None) -> str:
    return "all nets" if epsilon is None else f"epsilon {_short(epsilon)}"


def _short(epsilon: float | None) -> str:
    return "all" if epsilon is None else f"{epsilon:.1f}" if round(epsilon, 1) == epsilon else f"{epsilon:g}"
