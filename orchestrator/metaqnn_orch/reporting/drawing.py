"""A design as a drawing. Of a net each layer is a block, as high as its representation is large, and as wide as it has
channels; of any other design each part is a block, as high as it has parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2, sqrt
from typing import Any, Final

from metaqnn_orch.reporting.palette import Palette
from metaqnn_orch.reporting.vega import SCHEMA, Spec, said
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.spaces.base import Part
from metaqnn_trainer.spaces.cnn.layer import LayerReport, Shape
from metaqnn_trainer.spaces.cnn.registry import kinds

_TALLEST: Final = 74  # pixels of the image
_STEP: Final = 54  # pixels between two blocks
_PART: Final = 30.0  # pixels: the width of a block of a design that is no net of the cnn family


def drawing(reports: list[LayerReport], image: Shape, colours: Palette) -> Spec:
    """The specification of a net's drawing, the image first. `reports` cover the whole net."""
    blocks = [_block(0, "image", "image", f"{image.size}×{image.size}", image, image, f"images of {image}")]
    for number, report in enumerate(reports, 1):
        layer, shape, cost = report
        told = f"{layer}: {shape}, {amount(cost.params, 'parameter')}, {amount(cost.macs, 'multiply-accumulate')}"
        blocks.append(_block(number, layer.name, *layer.label, shape, image, told))
    fills = {"image": colours.soft, **{kind.name: getattr(colours, kind.colour) for kind in kinds().values()}}
    return _drawn(blocks, fills, colours)


def drawing_of_parts(parts: Sequence[Part], colours: Palette) -> Spec:
    """The specification of a drawing of any design."""
    most = max((part.cost.params for part in parts), default=0) or 1
    blocks = [
        {
            "kind": "part",
            "name": part.name,
            "detail": part.output if part.output != part.name else "",
            "above": f"{part.cost.params:,}",
            "told": f"{part.name}: {part.output}, {part.cost.params:,} parameters, "
            f"{part.cost.macs:,} multiply-accumulates",
            **_place(number, _PART, max(6.0, _TALLEST * sqrt(part.cost.params / most))),
        }
        for number, part in enumerate(parts)
    ]
    return _drawn(blocks, {"part": colours.accent}, colours)


def _drawn(blocks: Sequence[Mapping[str, Any]], fills: Mapping[str, str], colours: Palette) -> Spec:
    x = {
        "field": "x",
        "type": "quantitative",
        "scale": {"domain": [0, _STEP * len(blocks)], "nice": False},
        "axis": None,
    }
    y = {"field": "y", "type": "quantitative", "scale": {"domain": [0, _TALLEST + 44], "nice": False}, "axis": None}
    label = {"type": "text", "aria": False, "color": colours.soft}
    middle = {"x": {**x, "field": "middle"}}
    return {
        "$schema": SCHEMA,
        "width": _STEP * len(blocks),
        "height": _TALLEST + 44,
        "data": {"values": [*blocks]},
        "layer": [
            {
                "mark": {"type": "rect", "cornerRadius": 2, "fillOpacity": 0.8},
                "encoding": {
                    "x": x,
                    "x2": {"field": "x2"},
                    "y": y,
                    "y2": {"field": "y2"},
                    "color": {
                        "field": "kind",
                        "type": "nominal",
                        "scale": {"domain": list(fills), "range": list(fills.values())},
                        "legend": None,
                    },
                    **said("told"),
                },
            },
            {
                "mark": {**label, "dy": -7},
                "encoding": {**middle, "y": {**y, "field": "y2"}, "text": {"field": "above"}},
            },
            {
                "mark": {**label, "color": colours.ink},
                "encoding": {**middle, "y": {"datum": 18}, "text": {"field": "name"}},
            },
            {"mark": label, "encoding": {**middle, "y": {"datum": 5}, "text": {"field": "detail"}}},
        ],
        "config": {
            "background": None,
            "padding": 2,
            "view": {"stroke": None},
            "text": {"font": "system-ui, sans-serif", "fontSize": 10},
        },
    }


def _block(number: int, kind: str, name: str, detail: str, shape: Shape, image: Shape, told: str) -> dict[str, Any]:
    height = max(6.0, _TALLEST * sqrt(shape.size / image.size)) if shape.size > 1 or kind == "image" else 14.0
    width = 7 + 3 * log2(shape.channels + 1)
    return {
        "kind": kind,
        "name": name,
        "detail": detail,
        "above": f"{shape.channels}" if shape.size == 1 else f"{shape.channels}@{shape.size}²",
        "told": told,
        **_place(number, width, height),
    }


def _place(number: int, width: float, height: float) -> dict[str, float]:
    middle = _STEP * (number + 0.5)
    return {"middle": middle, "x": middle - width / 2, "x2": middle + width / 2, "y": 28.0, "y2": 28.0 + height}
