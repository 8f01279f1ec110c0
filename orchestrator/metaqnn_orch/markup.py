"""Small pieces of HTML that need nothing else: no script, no style sheet, and colours that suit light and dark pages.

All text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

_WIDTH, _HEIGHT = 72, 18  # of a sparkline, in CSS pixels
_POINTS: Final = 36  # of a sparkline: more lie closer together than two pixels
_CELL: Final = "text-align:left;padding:0.15em 0.9em 0.15em 0;vertical-align:top"


def sparkline(values: Sequence[float], low: float, high: float, said: str = "") -> str:
    """A line through `values` between `low` and `high`, as SVG; `said` describes it. It is empty for less than two
    values.
    """
    if len(values) < 2:
        return ""
    step = max(1, -(-len(values) // _POINTS))
    places = sorted({*range(0, len(values), step), len(values) - 1})
    span = (high - low) or 1.0
    points = (
        f"{1 + (_WIDTH - 2) * place / (len(values) - 1):.0f},"
        f"{1 + (_HEIGHT - 2) * (1 - min(max((values[place] - low) / span, 0.0), 1.0)):.1f}"
        for place in places
    )
    return (
        f'<svg class="spark" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">'
        f'<path d="M{" L".join(points)}" fill="none" stroke="currentColor" stroke-width="1.4" pointer-events="all" '
        f'aria-label="{escape(said)}"></path></svg>'
    )


def curve(values: Sequence[float], low: float, high: float) -> str:
    """The learning curve of a net as a sparkline, described in words; empty for less than two epochs."""
    if len(values) < 2:
        return ""
    best = max(range(len(values)), key=values.__getitem__)
    said = f"{len(values)} epochs: {values[0]:.4f} after the first, {values[-1]:.4f} after the last"
    return sparkline(values, low, high, f"{said}, {values[best]:.4f} at best, after epoch {best + 1}")


def bar(share: float) -> str:
    """How much of something is done, from 0 to 1."""
    width = round(100 * min(max(share, 0.0), 1.0), 1)
    outer = "display:inline-block;width:16em;max-width:100%;height:0.6em;border-radius:0.3em;background:#8884"
    return (
        f'<span style="{outer}"><span style="display:block;width:{width}%;height:100%;border-radius:0.3em;'
        'background:#3b82f6"></span></span>'
    )


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """A table of names, which are text, and values, which are HTML."""
    soft = f"{_CELL};opacity:0.7;font-weight:normal"
    cells = (f'<tr><th style="{soft}">{escape(name)}</th><td style="{_CELL}">{value}</td></tr>' for name, value in rows)
    return f"<table><tbody>{''.join(cells)}</tbody></table>"


def rows(columns: Sequence[str], values: Iterable[Sequence[str]]) -> str:
    """A table with headings, which are text, and cells, which are HTML."""
    head = "".join(f'<th style="{_CELL}">{escape(column)}</th>' for column in columns)
    body = ("".join(f'<td style="{_CELL}">{cell}</td>' for cell in row) for row in values)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in body)}</tbody></table>"
