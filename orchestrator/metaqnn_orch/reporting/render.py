"""Draws figures as SVG and PNG. Only this module knows the library that draws them (vl-convert, of the extra `report`).

The library is imported when it is needed: few commands draw, and it is large.
"""

from __future__ import annotations

import json
import re

from metaqnn_orch.reporting.palette import LIGHT, ON_PAGE
from metaqnn_orch.reporting.vega import Spec

_VARIABLE = re.compile(rf'"var\(--({"|".join(ON_PAGE._fields)})\)"')  # an attribute; text is left as it is
_NOWHERE = ["about:blank"]  # a figure carries its data: no address is ever loaded


def svg(spec: Spec) -> str:
    import vl_convert

    # As text: in a dict the library accepts no integer of more than 64 bits.
    return vl_convert.vegalite_to_svg(json.dumps(spec, allow_nan=False), allowed_base_urls=_NOWHERE)


def in_light(drawing: str) -> str:
    """A drawing for a page (in ON_PAGE), as one that stands alone: in light colours, and with their background."""
    fixed = _VARIABLE.sub(lambda found: f'"{getattr(LIGHT, found[1])}"', drawing)
    head, rest = fixed.split(">", 1)
    return f'{head}><rect width="100%" height="100%" fill="{LIGHT.page}"/>{rest}'


def png(drawing: str) -> bytes:
    """A figure that is drawn as SVG as PNG, with two pixels for each CSS pixel."""
    import vl_convert

    return vl_convert.svg_to_png(drawing, scale=2)
