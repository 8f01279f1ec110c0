"""The figure of when trials were in training."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, get_args

from metaqnn_orch.control.ends import Lost
from metaqnn_orch.launchers.base import Phase
from metaqnn_orch.reporting import statistics
from metaqnn_orch.reporting.history import History
from metaqnn_orch.reporting.palette import Palette
from metaqnn_orch.reporting.vega import Figure, Rows, axis, legend, said, spec

# ends of lost attempts that are shown; the others are not caused by a trial
_FAULTS: Final = (Phase.CRASHED, Phase.REFUSED, Phase.HOPELESS)
_FINEST: Final = 600  # of the whole width: no bar is narrower, so that the shortest trial can be seen


def timeline(history: History, colours: Palette) -> Figure:
    """When each trial was in training, and which attempts ended without a result."""
    rows = _rows(history)
    unit, per_hour = _time_unit(max((row["end"] for row in rows), default=0.0))
    longest = max((row["end"] for row in rows), default=0.0) or 1.0
    values = [
        {
            "state": row["state"],
            "from": row["begin"] * per_hour,
            "to": max(row["end"], row["begin"] + longest / _FINEST) * per_hour,
            "top": row["lane"],
            "bottom": row["lane"] + 0.86,
            "text": row["text"],
        }
        for row in rows
    ]
    states = {
        "completed": colours.conv,
        "untrainable": colours.dense,
        "too large": colours.average,
        "timed out": colours.soft,
        "stopped early": colours.accent,
        **{kind: colours.softmax if kind in _FAULTS else colours.pool for kind in get_args(Lost)},
    }
    used = [state for state in states if any(row["state"] == state for row in rows)]
    lanes = 1 + max((row["lane"] for row in rows), default=0)
    y = {"field": "top", "type": "quantitative", "axis": None, "scale": {"domain": [0, lanes], "reverse": True}}
    drawn = spec(
        colours,
        height=max(40, min(360, 14 * lanes)),
        data={"values": values},
        mark={"type": "rect", "fillOpacity": 0.55},
        encoding={
            "x": axis("from", "quantitative", f"{unit} since the first trial began", scale={"nice": False}),
            "x2": {"field": "to"},
            "y": y,
            "y2": {"field": "bottom"},
            "color": legend("state", used, [states[state] for state in used]),
            **said("text"),
        },
    )
    return Figure(
        "timeline",
        "Timeline",
        "Each trial from the beginning of its training to its end, in the first free lane. Lost attempts are shown "
        "above, and imported trials are left out.",
        [{name: value for name, value in row.items() if name != "text"} for row in rows],
        drawn,
    )


def _rows(history: History) -> Rows:
    """Trials in lanes from 1, and attempts without a result in lane 0. Times are hours since the first event."""
    spans = [(_before(item.at, item.seconds), item.at, item) for item in history.timed if item.at]
    lost = [(trouble.at, trouble) for trouble in history.troubles if trouble.at]
    start = min([begin for begin, _, _ in spans] + [at for at, _ in lost], default=None)
    if start is None:
        return []
    hour = timedelta(hours=1)
    hours = [((begin - start) / hour, (end - start) / hour) for begin, end, _ in spans]
    lanes = statistics.lanes(hours)
    trials = [
        {
            "trial": item.trial.trial,
            "state": item.trial.state.replace("_", " "),
            "lane": lane + 1,
            "begin": begin,
            "end": end,
            "text": f"{item.trial.trial}: {item.reward:.4f} after {item.seconds:,.1f} s",
        }
        for lane, (begin, end), (_, _, item) in zip(lanes, hours, spans, strict=True)
    ]
    nothing = [
        {
            "trial": trouble.trial,
            "state": trouble.kind,
            "lane": 0,
            "begin": (at - start) / hour,
            "end": (at - start) / hour,
            "text": f"{trouble.trial}: attempt {trouble.attempt} {trouble.kind}",
        }
        for at, trouble in lost
    ]
    return trials + nothing


def _before(moment: datetime, seconds: float) -> datetime:
    """The moment so many seconds before; the earliest possible moment, where there is none so early."""
    try:
        return moment - timedelta(seconds=seconds)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def _time_unit(hours: float) -> tuple[str, float]:
    if hours >= 48:
        return "days", 1 / 24
    if hours >= 2:
        return "hours", 1
    return ("minutes", 60) if hours >= 2 / 60 else ("seconds", 3600)
