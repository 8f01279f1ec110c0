"""What a searcher has learned of the space as a whole, as figures: bars, or a curve where the labels are numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from math import isfinite
from numbers import Real
from typing import Any, Final

from metaqnn_orch.control.faults import faults_of
from metaqnn_orch.control.state import RunState
from metaqnn_orch.errors import one_line
from metaqnn_orch.numbers import LARGEST
from metaqnn_orch.reporting.palette import Palette
from metaqnn_orch.reporting.vega import Figure, Rows, Spec, axis, said, spec
from metaqnn_orch.search.searcher import Finding

_MOST: Final = 60  # bars or points of one figure
_LONGEST: Final = 80  # characters of a text
_WIDE: Final = 30.0  # ratio of the largest label to the smallest from which an axis is logarithmic
_TICKS: Final = 20  # whole numbers, each with a tick of its own


def findings_of(state: RunState) -> list[Finding]:
    """What the searcher of a run has learned, as readable text and finite numbers; findings without any are left out.

    Raises:
        SearcherFailed: it is a plug-in, and fails.
    """
    if state.settings.nets:
        return []  # nobody searched
    with faults_of(state.settings.search.method, "saying what it has learned"):
        return [readable for finding in state.searcher.findings() if (readable := _readable(finding)).values]


def places(finding: Finding) -> list[float] | None:
    """The labels as numbers; None where one of them is none."""
    found = [_number(label) for label in finding.values]
    numbers = [number for number in found if number is not None]
    return numbers if len(numbers) == len(found) else None


def findings_figures(findings: Iterable[Finding], colours: Palette) -> list[Figure]:
    """A figure for each finding."""
    return [_figure(f"finding-{number:02d}", finding, colours) for number, finding in enumerate(findings, 1)]


def _readable(finding: Finding) -> Finding:
    title, unit, label = (one_line(text, _LONGEST) for text in (finding.title, finding.unit, finding.label))
    note = one_line(finding.note)
    values = {
        one_line(str(name), _LONGEST): float(value)
        for name, value in finding.values.items()
        if isinstance(value, Real) and abs(value) <= LARGEST
    }
    return Finding(title, unit, dict(islice(values.items(), _MOST)), label, note)


def _figure(name: str, finding: Finding, colours: Palette) -> Figure:
    title, unit, values, label, note = finding
    rows: Rows = [{"label": name, "value": value} for name, value in values.items()]
    numbers = places(finding)
    drawn = (
        _bars(rows, unit, label, colours)
        if numbers is None
        else _curve([{**row, "at": at} for row, at in zip(rows, numbers, strict=True)], unit, label, colours)
    )
    return Figure(name, title, note, rows, drawn)


def _bars(rows: Rows, unit: str, label: str, colours: Palette) -> Spec:
    y = {**axis("label", "nominal", label or None), "sort": None}
    y["axis"] |= {"labelLimit": 220, "titleAngle": 0, "titleAlign": "left", "titleAnchor": "start", "titleY": -8}
    return spec(
        colours,
        height={"step": 20},
        data={"values": [{**row, "text": _said(row)} for row in rows]},
        mark={"type": "bar", "color": colours.accent, "fillOpacity": 0.75, "height": {"band": 0.7}},
        encoding={"x": axis("value", "quantitative", unit), "y": y, **said("text")},
    )


def _curve(rows: Rows, unit: str, label: str, colours: Palette) -> Spec:
    numbers = [row["at"] for row in rows]
    low, high = min(numbers), max(numbers)
    wide = low > 0 and high / _WIDE > low
    scale = {"type": "log" if wide else "linear", "nice": False, "padding": 8} | ({} if wide else {"zero": False})
    encoding = {
        "x": axis("at", "quantitative", label or None, scale=scale),
        "y": axis("value", "quantitative", unit, scale={"zero": False, "padding": 8}),
    }
    if wide:
        encoding["x"]["axis"]["format"] = "~s"
    if high - low < _TICKS and all(number.is_integer() for number in numbers):
        encoding["x"]["axis"] |= {"values": sorted(numbers), "format": "d"}
    return spec(
        colours,
        height=200,
        data={"values": [{**row, "text": _said(row, label)} for row in rows]},
        layer=[
            {
                "mark": {"type": "line", "color": colours.accent, "strokeWidth": 1.8, "aria": False},
                "encoding": encoding,
            },
            {
                "mark": {"type": "point", "filled": True, "size": 46, "opacity": 1, "color": colours.accent},
                "encoding": {**encoding, **said("text")},
            },
        ],
    )


def _said(row: Mapping[str, Any], label: str = "") -> str:
    return f"{label} {row['label']}: {row['value']:.4g}".lstrip()


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None
