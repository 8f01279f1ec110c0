"""Figures to SVG and PNG. The only place that knows the library which draws them (vl-convert, of the extra `report`).

It is imported when it is needed: few commands draw, and it is no small thing.
"""

from __future__ import annotations

import json

from metaqnn_orch.reporting.vega import Spec

_NOWHERE = ["about:blank"]  # a figure carries its data: no address is ever asked for any


def svg(spec: Spec) -> str:
    import vl_convert

    return vl_convert.vegalite_to_svg(_text(spec), allowed_base_urls=_NOWHERE)


def png(spec: Spec) -> bytes:
    """Two pixels for each CSS pixel."""
    import vl_convert

    return vl_convert.vegalite_to_png(_text(spec), scale=2, allowed_base_urls=_NOWHERE)


def _text(spec: Spec) -> str:
    """As text: in a dict the library takes no integer of more than 64 bits."""
    return json.dumps(spec, allow_nan=False)
