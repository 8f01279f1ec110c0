"""The figure of the finals: which classes the best model takes for which."""

from __future__ import annotations

from collections import Counter
from typing import Final

from metaqnn_orch.reporting.palette import Palette
from metaqnn_orch.reporting.vega import Figure, Rows, said, spec
from metaqnn_orch.reporting.verdict import Verdict
from metaqnn_trainer.contract.text import amount

NAME: Final = "confusion"
FEW: Final = 12  # classes up to which a cell has room for its number, and the matrix for a narrow screen
_CELL: Final = 30  # pixels of a cell of few classes; of many, the whole matrix has about the width of a figure


def confusion_figure(verdict: Verdict, colours: Palette) -> Figure | None:
    """The confusion matrix of the best finalist on the test images; None where the counts were not kept."""
    classes = verdict.classes()
    if verdict.confusion is None or not classes:
        return None
    times = Counter(one.name for one in classes)
    names = [one.name if times[one.name] == 1 else f"{one.name} ({label})" for label, one in enumerate(classes)]
    rows: Rows = [
        {"class": names[label], "taken_for": names[other], "images": images, "share": images / of.images}
        for label, of in enumerate(classes)
        for other, images in enumerate(verdict.confusion[label])
        if images
    ]
    values = [
        {
            **row,
            "right": row["class"] == row["taken_for"],
            "text": f"{row['class']} {'recognised' if row['class'] == row['taken_for'] else 'taken for'}"
            f"{'' if row['class'] == row['taken_for'] else ' ' + row['taken_for']}: "
            f"{amount(row['images'], 'image')}, {row['share']:.1%}",
        }
        for row in rows
    ]
    side = _CELL if len(names) <= FEW else max(7, 640 // len(names))
    axis = {"sort": names, "type": "nominal", "scale": {"domain": names}}
    lines = {"ticks": False, "domain": False, "labelLimit": 110, "labelOverlap": True, "titlePadding": 6}
    encoding = {
        "x": {
            **axis,
            "field": "taken_for",
            "title": "taken for",
            "axis": {**lines, "labelAngle": -45, "orient": "top"},
        },
        "y": {**axis, "field": "class", "title": "class", "axis": lines},
    }
    cells = {
        "mark": {"type": "rect", "stroke": colours.page},
        "encoding": {
            **encoding,
            "color": {
                "field": "right",
                "type": "nominal",
                "scale": {"domain": [True, False], "range": [colours.accent, colours.softmax]},
                "legend": None,
            },
            "fillOpacity": {
                "field": "share",
                "type": "quantitative",
                "scale": {"domain": [0, 1], "range": [0.22, 0.6]},
                "legend": None,
            },
            **said("text"),
        },
    }
    numbers = {
        "mark": {"type": "text", "color": colours.ink, "aria": False},
        "encoding": {**encoding, "text": {"field": "images", "type": "quantitative", "format": ",d"}},
    }
    drawn = spec(
        colours,
        width={"step": side},
        height={"step": side},
        view={"stroke": colours.line},
        data={"values": values},
        layer=[cells, numbers] if len(names) <= FEW else [cells],
    )
    caption = (
        "Test images of each class (row) by the class that the best model takes them for (column): blue where it is "
        f"right, red where it is wrong, deeper for a larger share of the class.{_worst(verdict, names)}"
    )
    return Figure(NAME, "Which classes are taken for which", caption, rows, drawn)


def _worst(verdict: Verdict, names: list[str]) -> str:
    assert verdict.confusion is not None
    wrong = [
        (images, -label, -other)
        for label, row in enumerate(verdict.confusion)
        for other, images in enumerate(row)
        if label != other and images
    ]
    if not wrong:
        return " It makes no mistake."
    images, label, other = max(wrong)
    return (
        f" Its most frequent mistake: {images:,} of the {sum(verdict.confusion[-label]):,} images of {names[-label]} "
        f"are taken for {names[-other]}."
    )
