"""The page: one HTML file that loads nothing from anywhere. The template escapes all text, and the page itself forbids
scripts other than its own, whatever the text contains.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Final, NamedTuple

from metaqnn_orch.control.trial import Trial
from metaqnn_orch.reporting.confusion import FEW
from metaqnn_orch.reporting.content import Content
from metaqnn_orch.reporting.front import Member
from metaqnn_orch.reporting.palette import DARK, LIGHT
from metaqnn_orch.reporting.verdict import Finals

MARK: Final = "MetaQNN · report of a search"  # a page without it is somebody else's


class Drawn(NamedTuple):
    """A figure in the form in which the page holds it."""

    name: str
    title: str
    caption: str
    svg: str


class Leader(NamedTuple):
    """One of the best trials."""

    trial: Trial
    drawing: str
    """The drawing, as SVG; empty where the space is not known here."""
    pictures: list[tuple[str, str]]
    """Names, and PNG files in base64."""
    curve: str
    """The learning curve with axes, as SVG; empty where there is none."""
    no_curve: str
    """Why there is none, as the end of a sentence."""


def page(
    content: Content,
    fronts: list[str],
    beliefs: list[str],
    members: list[Member],
    figures: list[Drawn],
    leaders: list[Leader],
    finals: Finals | None,
    curves: Mapping[str, str],
) -> str:
    """The HTML of the page. `fronts` and `beliefs` are names of figures: those beside the best nets, and those of what
    the searcher has learned; `members` are the nets of the front that the search looked for; `leaders` are the best
    trials, the best first. `curves` are small learning curves by trial, as SVG.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("metaqnn_orch.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = _asset("marks.js") + _asset("report.js")
    style = environment.get_template("report.css").render(light=LIGHT._asdict(), dark=DARK._asdict())
    return environment.get_template("report.html").render(
        content=content,
        mark=MARK,
        fronts=fronts,
        beliefs=beliefs,
        members=members,
        figures={figure.name: figure for figure in figures},
        leaders=leaders,
        curves=curves,
        finals=finals,
        classes=finals.verdict.classes() if finals is not None else [],
        few=FEW,
        has_pictures=any(leader.pictures for leader in leaders),
        script=script,
        style=style,
        script_hash=_hash(script),
        style_hash=_hash(style),
    )


def _asset(name: str) -> str:
    return (files("metaqnn_orch.reporting") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
