"""The figure of some nets' learning curves: the reward after each epoch that counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metaqnn_orch.reporting.figures import Scale
from metaqnn_orch.reporting.palette import Palette
from metaqnn_orch.reporting.vega import Figure, Rows, axis, counted, said, spec


def learning_curves(
    curves: Mapping[str, Sequence[float]], nets: Mapping[str, str], scale: Scale, colours: Palette
) -> Figure:
    """The curves of these trials, by their ids; `nets` are their designs. Trials without a curve are left out."""
    rows: Rows = [
        {"trial": trial, "epoch": epoch, "reward": reward}
        for trial, curve in curves.items()
        for epoch, reward in enumerate(curve, 1)
    ]
    values = [
        {**row, "text": f"{row['trial']}, epoch {row['epoch']:,}: {row['reward']:.4f}, {nets[row['trial']]}"}
        for row in rows
    ]
    shown = [trial for trial, curve in curves.items() if curve]
    palette = [colours.series[number % len(colours.series)] for number in range(len(shown))]
    encoding = {
        "x": counted("epoch", "epoch", max((row["epoch"] for row in rows), default=0)),
        "y": axis("reward", "quantitative", scale.title, scale={"zero": False, "padding": 8}),
        "color": {
            "field": "trial",
            "type": "nominal",
            "scale": {"domain": shown, "range": palette},
            "legend": {"orient": "top", "title": None, "columns": 5} if len(shown) <= len(colours.series) else None,
        },
    }
    drawn = spec(
        colours,
        height=260,
        data={"values": values},
        layer=[
            {"mark": {"type": "line", "strokeWidth": 1.6, "aria": False}, "encoding": encoding},
            {
                "mark": {"type": "point", "filled": True, "size": 40, "opacity": 1},
                "encoding": {**encoding, **said("text")},
            },
        ],
    )
    caption = f"The {scale.title} after each epoch of the learning rate that counted."
    return Figure("learning-curves", "Learning curves", caption, rows, drawn)
