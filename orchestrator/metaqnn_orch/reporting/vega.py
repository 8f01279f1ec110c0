"""What all figures have in common: their form as values, and the Vega-Lite specification for them.

Every mark carries a description, which the page shows when the mouse points at it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from metaqnn_orch.reporting.palette import Palette

Rows = list[dict[str, Any]]
Spec = dict[str, Any]

WIDTH: Final = 760  # size of a plot, in CSS pixels
SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v6.1.json"


class Figure(NamedTuple):
    """One figure; `rows` are the drawn values, for a CSV file."""

    name: str
    title: str
    caption: str
    rows: Rows
    spec: Spec


def axis(field: str, kind: str, title: str | None, *, scale: dict[str, Any] | None = None) -> dict[str, Any]:
    axis = {"labelAngle": 0, "tickCount": 6} if kind == "quantitative" else {"labelAngle": 0}
    return {"field": field, "type": kind, "title": title, "axis": axis} | ({"scale": scale} if scale else {})


def counted(field: str, title: str, most: int, *, scale: dict[str, Any] | None = None) -> dict[str, Any]:
    """An axis from 0 to the whole number `most`, with ticks at whole numbers alone."""
    made = axis(field, "quantitative", title, scale=scale)
    # Up to two, the library takes steps of a half all the same.
    made["axis"] |= {"format": ",d"} | ({"tickMinStep": 1} if most > 2 else {"values": list(range(most + 1))})
    return made


def legend(field: str, names: Iterable[str], scale: Iterable[str]) -> dict[str, Any]:
    return {
        "field": field,
        "type": "nominal",
        "scale": {"domain": list(names), "range": list(scale)},
        "legend": {"orient": "top", "title": None},
    }


def said(field: str) -> dict[str, Any]:
    return {"description": {"field": field, "type": "nominal"}}


def spec(colours: Palette, **content: Any) -> Spec:
    if "facet" not in content:
        content.setdefault("width", WIDTH)
    return {"$schema": SCHEMA, "config": config(colours), **content}


def config(colours: Palette) -> dict[str, Any]:
    font = "system-ui, sans-serif"
    text = {"labelFont": font, "titleFont": font, "labelColor": colours.soft, "titleColor": colours.soft}
    return {
        "background": None,
        "padding": 4,
        "font": font,
        "view": {"stroke": None},
        "axis": {
            **text,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "gridColor": colours.line,
            "domainColor": colours.line,
            "tickColor": colours.line,
        },
        "axisX": {"grid": False},
        "header": {**text, "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal"},
        "legend": {**text, "labelFontSize": 11, "symbolSize": 60, "columnPadding": 26},
        "text": {"font": font, "fontSize": 10},
    }
