"""One measure of the trained nets against another, and the Pareto front: the nets that no other beats in both.

Where the search itself looked for a front, of two or three measures, its members are those that no other net beats in
all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from operator import ge
from typing import Any, Final, NamedTuple

from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import BadInput
from metaqnn_orch.numbers import mean
from metaqnn_orch.reporting import statistics
from metaqnn_orch.reporting.figures import Scale
from metaqnn_orch.reporting.history import EndedTrial
from metaqnn_orch.reporting.palette import Palette
from metaqnn_orch.reporting.vega import Figure, Rows, axis, said, spec
from metaqnn_orch.search.searcher import Goals
from metaqnn_trainer.contract.errors import ContractError
from metaqnn_trainer.spaces.base import Space

COLUMNS: Final = ("params", "macs", "seconds", "reward")  # fields of a trial that count beside its measures

_WORDS: Final = {
    "params": "parameters",
    "macs": "multiply-accumulates",
    "seconds": "seconds of training",
    "accuracy": "validation accuracy",
}
_CROWD: Final = 500  # from so many nets on points overlap, and are drawn lighter


class Axes(NamedTuple):
    """Names of two measures."""

    cost: str
    """The measure of which less is better."""
    value: str
    """The measure of which more is better."""
    more: bool = False
    """Whether of `cost`, too, more is better."""

    @property
    def name(self) -> str:
        """Name of the figure, and of its files."""
        names = (re.sub(r"\W", "-", name) for name in (self.value, self.cost))
        return "accuracy-and-size" if self == ACCURACY_AND_SIZE else "-".join(["front", *names])


ACCURACY_AND_SIZE: Final = Axes("params", "accuracy")


def parse_axes(text: str) -> Axes:
    """The axes that a text names.

    Raises:
        BadInput: these are not two names.
    """
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(name.isidentifier() for name in names):
        raise BadInput(
            f"--front {text[:60]!r} does not name two measures",
            hint="first the one of which less is better: --front params,reward",
        )
    return Axes(names[0], names[1])


class Member(NamedTuple):
    """A net of the front that the search looked for."""

    trial: Trial
    values: dict[str, float]
    """Its measures: that of which more is better, then the goals."""


def axes_of(goals: Goals, value: str) -> list[Axes]:
    """The axes that show each goal of a searcher; `value` is the name of the reward, or of the accuracy."""
    return [Axes(name, value, more=way == "max") for name, way in goals.items()]


def members(ended: Sequence[EndedTrial], several: Sequence[Axes], space: Space) -> list[Member]:
    """The nets that no other beats in all measures of these axes, which share their value, the best value first. Of
    equal nets the first counts.
    """
    names = dict.fromkeys(name for axes in several for name in (axes.value, axes.cost))
    signs = [-1.0 if any(axes.cost == name and not axes.more for axes in several) else 1.0 for name in names]
    found = [
        (Member(item.trial, values), [sign * values[name] for name, sign in zip(names, signs, strict=True)])
        for item in ended
        if item.trial.was_trained and len(values := _values(item.trial, names, space)) == len(names)
    ]
    found.sort(key=lambda one: one[1], reverse=True)
    kept: list[tuple[Member, list[float]]] = []
    for member, worths in found:
        if not any(all(map(ge, other, worths)) for _, other in kept):
            kept.append((member, worths))
    return [member for member, _ in kept]


def front(
    ended: Sequence[EndedTrial],
    axes: Axes,
    space: Space,
    colours: Palette,
    among: Sequence[Member] | None = None,
    scale: Scale | None = None,
) -> Figure:
    """Every trained net by two measures. Nets that were stopped early, and nets that lack one of the measures, are left
    out. `among` are the members of the front that the search looked for: they are marked, too. `scale` is that of the
    value in other figures.

    Raises:
        BadInput: no net has one of the two; the text lists the measures that exist.
    """
    names = (axes.cost, axes.value)
    found = [(item.trial, _values(item.trial, names, space)) for item in ended if item.trial.was_trained]
    for name in names:
        if found and all(name not in values for _, values in found):
            there = sorted({*COLUMNS, *(name for trial, _ in found for name in trial.measures)})
            raise BadInput(f"no net has the measure {name}", hint=f"there are {', '.join(there)}")
    whole = [(trial, values[axes.cost], values[axes.value]) for trial, values in found if len(values) == len({*names})]
    best = statistics.pareto_front((-cost if axes.more else cost, value) for _, cost, value in whole)
    on_front = {whole[number][0].trial for number in best} | {member.trial.trial for member in among or ()}
    rows = [
        {
            "trial": trial.trial,
            "net": trial.net,
            "params": trial.params,
            "macs": trial.macs,
            axes.cost: cost,
            axes.value: value,
            "pareto": trial.trial in on_front,
        }
        for trial, cost, value in whole
    ]
    return Figure(axes.name, _title(axes), _caption(axes, among), rows, _drawn(rows, best, axes, colours, scale))


def _values(trial: Trial, wanted: Iterable[str], space: Space) -> dict[str, float]:
    """The values of the wanted measures, as far as the trial has them."""
    names = [*dict.fromkeys(wanted)]
    there: dict[str, Any] = {**trial.measures, **{name: getattr(trial, name) for name in COLUMNS}}
    if trial.is_confirmed:
        measured = [one.measures for one in trial.trainings]
        shared = set(measured[0]).intersection(*measured)
        there |= {name: mean([one[name] for one in measured]) for name in shared} | {"reward": trial.worth}
    if not {*names} <= there.keys():
        there = {**_known(trial, space), **there}
    return {name: there[name] for name in names if there.get(name) is not None and isfinite(there[name])}


def _known(trial: Trial, space: Space) -> Mapping[str, float]:
    try:
        return space.measures(trial.net)
    except ContractError:  # an imported net need not fit
        return {}


def _title(axes: Axes) -> str:
    value = axes.value.replace("_", " ").capitalize()
    return f"{value} and size" if axes.cost == "params" else f"{value} against {_word(axes.cost)}"


def _caption(axes: Axes, among: Sequence[Member] | None) -> str:
    by = "number of parameters" if axes.cost == "params" else _word(axes.cost)
    words = (
        f"Every net by its {by}, except those that were stopped early. The line is the Pareto front: nets that no "
        "other net beats in both."
    )
    if not among:
        return words
    goals = " and ".join(_word(name) for name in among[0].values)
    return f"{words} The search looked for the front of {goals}: its nets are the large points."


def _drawn(rows: Rows, best: Sequence[int], axes: Axes, colours: Palette, scale: Scale | None) -> dict[str, Any]:
    values = [
        {
            "cost": row[axes.cost],
            "value": row[axes.value],
            "pareto": row["pareto"],
            "text": f"{row[axes.value]:.4f} with {_number(row[axes.cost])} {_word(axes.cost)}: {row['net']}",
        }
        for row in rows
    ]
    kind = "log" if all(value["cost"] > 0 for value in values) else "linear"
    x = axis("cost", "quantitative", _word(axes.cost), scale={"type": kind, "nice": False, "padding": 8})
    x["axis"]["format"] = "~s"
    y = axis("value", "quantitative", _word(axes.value), scale=scale.domain if scale else {"zero": False, "padding": 8})
    on_front = {"values": [values[number] for number in best]}
    marked = {"values": [value for value in values if value["pareto"]]}
    steps = "step-before" if axes.more else "step-after"
    return spec(
        colours,
        height=300,
        layer=[
            {
                "data": {"values": [value for value in values if not value["pareto"]]},
                "mark": {
                    "type": "circle",
                    "color": colours.soft,
                    "opacity": 0.35 if len(values) > _CROWD else 0.8,
                    "size": 18,
                },
                "encoding": {"x": x, "y": y, **said("text")},
            },
            {
                "data": on_front,
                "mark": {"type": "line", "interpolate": steps, "color": colours.accent, "aria": False},
                "encoding": {"x": x, "y": y},
            },
            {
                "data": marked,
                "mark": {"type": "circle", "color": colours.accent, "opacity": 1, "size": 44},
                "encoding": {"x": x, "y": y, **said("text")},
            },
        ],
    )


def _word(name: str) -> str:
    return _WORDS.get(name, name.replace("_", " "))


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
