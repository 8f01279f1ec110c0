"""Small pieces of HTML that need nothing else: no script, no style sheet, and colours that suit light and dark pages.

All text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from metaqnn_trainer.contract.text import amount

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
    return sparkline(values, low, high, _in_words(values))


def chart(values: Sequence[float], low: float, high: float) -> str:
    """The learning curve of a net between `low` and `high`, with axes, as SVG; empty without an epoch. Epochs say their
    rewards, as far as they do not lie too close together.
    """
    if not values:
        return ""
    width, height, left, bottom = 260, 104, 40, 18

    def at(number: int) -> str:
        x = left + (width - left - 6) * (number / (len(values) - 1) if len(values) > 1 else 0.5)
        share = min(max((values[number] - low) / ((high - low) or 1.0), 0.0), 1.0)
        return f"{x:.1f},{6 + (height - bottom - 12) * (1 - share):.1f}"

    def text(x: float, y: float, anchor: str, said: str) -> str:
        return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{said}</text>'

    step = max(1, -(-len(values) // _POINTS))
    places = sorted({*range(0, len(values), step), len(values) - 1})
    dots = (
        f'<path d="M{at(place)}h0" stroke-width="5" stroke-linecap="round" '
        f'aria-label="epoch {place + 1:,}: {values[place]:.4f}"></path>'
        for place in places
    )
    axes = [
        text(left - 6, 10, "end", f"{high:.3g}"),
        text(left - 6, height - bottom - 2, "end", f"{low:.3g}"),
        text(left, height - 3, "start", "epoch 1" if len(values) > 1 else ""),
        text(width - 6, height - 3, "end", f"{len(values):,}"),
    ]
    return (
        f'<svg class="chart" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{_in_words(values)}"><g fill="currentColor" opacity="0.7" font-size="10">{"".join(axes)}'
        f'<path d="M{left},4V{height - bottom}H{width}" fill="none" stroke="currentColor" opacity="0.4"></path></g>'
        f'<g fill="none" stroke="currentColor" stroke-width="1.4">'
        f'<path d="M{" L".join(map(at, places))}"></path>{"".join(dots)}</g></svg>'
    )


def _in_words(curve: Sequence[float]) -> str:
    if len(curve) < 2:
        return f"one epoch: {curve[0]:.4f}"
    best = max(range(len(curve)), key=curve.__getitem__)
    said = f"{amount(len(curve), 'epoch')}: {curve[0]:.4f} after the first, {curve[-1]:.4f} after the last"
    return f"{said}, {curve[best]:.4f} at best, after epoch {best + 1}"


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
