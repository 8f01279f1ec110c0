"""One measure of the trained nets against another, and the Pareto front: the nets that no other beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Final, NamedTuple

from metaqnn_orch.control.trial import Trial
from metaqnn_orch.errors import BadInput
from metaqnn_orch.numbers import mean
from metaqnn_orch.reporting import statistics
from metaqnn_orch.reporting.history import EndedTrial
from metaqnn_orch.reporting.palette import Palette
from metaqnn_orch.reporting.vega import Figure, Rows, axis, said, spec
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

    @property
    def name(self) -> str:
        """Name of the figure, and of its files."""
        return "accuracy-and-size" if self == ACCURACY_AND_SIZE else f"front-{self.value}-{self.cost}"


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
    return Axes(*names)


def front(ended: Sequence[EndedTrial], axes: Axes, space: Space, colours: Palette) -> Figure:
    """Every trained net by two measures. Nets that were stopped early, and nets that lack one of the measures, are left
    out.

    Raises:
        BadInput: no net has one of the two; the text lists the measures that exist.
    """
    found = [(item.trial, _values(item.trial, axes, space)) for item in ended if item.trial.was_trained]
    for name in axes:
        if found and all(name not in values for _, values in found):
            there = sorted({*COLUMNS, *(name for trial, _ in found for name in trial.measures)})
            raise BadInput(f"no net has the measure {name}", hint=f"there are {', '.join(there)}")
    whole = [(trial, values[axes.cost], values[axes.value]) for trial, values in found if len(values) == len({*axes})]
    best = statistics.pareto_front((cost, value) for _, cost, value in whole)
    on_front = set(best)
    rows = [
        {
            "trial": trial.trial,
            "net": trial.net,
            "params": trial.params,
            "macs": trial.macs,
            axes.cost: cost,
            axes.value: value,
            "pareto": number in on_front,
        }
        for number, (trial, cost, value) in enumerate(whole)
    ]
    return Figure(axes.name, _title(axes), _caption(axes), rows, _drawn(rows, best, axes, colours))


def _values(trial: Trial, axes: Axes, space: Space) -> dict[str, float]:
    """The values of the two measures, as far as the trial has them."""
    there: dict[str, Any] = {**trial.measures, **{name: getattr(trial, name) for name in COLUMNS}}
    if trial.is_confirmed:
        measured = [one.measures for one in trial.trainings]
        shared = set(measured[0]).intersection(*measured)
        there |= {name: mean([one[name] for one in measured]) for name in shared} | {"reward": trial.worth}
    if not {*axes} <= there.keys():
        there = {**_known(trial, space), **there}
    return {name: there[name] for name in axes if there.get(name) is not None and isfinite(there[name])}


def _known(trial: Trial, space: Space) -> Mapping[str, float]:
    try:
        return space.measures(trial.net)
    except ContractError:  # an imported net need not fit
        return {}


def _title(axes: Axes) -> str:
    value = axes.value.replace("_", " ").capitalize()
    return f"{value} and size" if axes.cost == "params" else f"{value} against {_word(axes.cost)}"


def _caption(axes: Axes) -> str:
    by = "number of parameters" if axes.cost == "params" else _word(axes.cost)
    return (
        f"Every net by its {by}, except those that were stopped early. The line is the Pareto front: nets that no "
        "other net beats in both."
    )


def _drawn(rows: Rows, best: Sequence[int], axes: Axes, colours: Palette) -> dict[str, Any]:
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
    y = axis("value", "quantitative", _word(axes.value), scale={"zero": False, "padding": 8})
    on_front = {"values": [values[number] for number in best]}
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
                "mark": {"type": "line", "interpolate": "step-after", "color": colours.accent, "aria": False},
                "encoding": {"x": x, "y": y},
            },
            {
                "data": on_front,
                "mark": {"type": "circle", "color": colours.accent, "opacity": 1, "size": 44},
                "encoding": {"x": x, "y": y, **said("text")},
            },
        ],
    )


def _word(name: str) -> str:
    return _WORDS.get(name, name.replace("_", " "))


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
