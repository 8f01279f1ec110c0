"""Draws figures as SVG and PNG. Only this module knows the library that draws them (vl-convert, of the extra `report`).

The library is imported when it is needed: few commands draw, and it is large.
"""

from __future__ import annotations

import json

from metaqnn_orch.reporting.vega import Spec

_NOWHERE = ["about:blank"]  # a figure carries its data: no address is ever loaded


def svg(spec: Spec) -> str:
    import vl_convert

    return vl_convert.vegalite_to_svg(_text(spec), allowed_base_urls=_NOWHERE)


def png(spec: Spec) -> bytes:
    """The figure as PNG, with two pixels for each CSS pixel."""
    import vl_convert

    return vl_convert.vegalite_to_png(_text(spec), scale=2, allowed_base_urls=_NOWHERE)


def _text(spec: Spec) -> str:
    """The specification as text: in a dict the library accepts no integer of more than 64 bits."""
    return json.dumps(spec, allow_nan=False)
