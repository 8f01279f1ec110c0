"""Reads the authors' replay database: the presentations of nets to the agent, in their order."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import NamedTuple

from metaqnn_orch.errors import BadInput, one_line
from metaqnn_orch.replay.format import Refusals, Row, RowError, read_rows
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.spaces.base import IllegalDesign, Space
from metaqnn_trainer.spaces.cnn.notation import format_net

REQUIRED = ("net", "accuracy_best_val", "ix_q_value_update", "epsilon")


class Presentation(NamedTuple):
    """One row: a net that was presented to the agent."""

    line: int
    net: str
    accuracy: float
    epsilon: float
    update: float
    """Number of the update; presentations are ordered by it."""
    finished: datetime
    machine: str
    learned: bool
    """Whether the net learned; False where every learning rate failed and the net counts as trained at chance."""


class Replay(NamedTuple):
    """A file's presentations in their order, and the rows that were refused."""

    file: str
    data: bytes
    presentations: list[Presentation]
    refusals: Refusals

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def read_replay(data: bytes, file: str, settings: Settings) -> Replay:
    """The rows that the searcher of a run with these settings can be told.

    Raises:
        BadInput: it is no replay database, or has no row that can be used.
    """
    refusals = Refusals()
    space = settings.state_space()
    rows: list[Presentation] = []
    for row in read_rows(data, file, REQUIRED, refusals):
        try:
            rows.append(_presentation(row, space))
        except RowError as error:
            refusals.add(row.line, error)
    accuracies: dict[str, float] = {}
    told: list[Presentation] = []
    for shown in sorted(rows, key=lambda shown: shown.update):
        known = accuracies.setdefault(shown.net, shown.accuracy)
        if known == shown.accuracy:
            told.append(shown)
        else:
            refusals.add(
                shown.line,
                RowError(f"its accuracy is {shown.accuracy:g}, but an earlier row has {known:g} for this net"),
            )
    if not told:
        raise BadInput(f"{file} has no row that can be used", hint=str(refusals) if refusals.count else "")
    return Replay(file, data, told, refusals)


def _presentation(row: Row, space: Space) -> Presentation:
    net = format_net(row.net())
    try:
        space.walk(net)
    except IllegalDesign as error:
        raise RowError(f"the net is not in the space: {error}") from None
    accuracy = row.probability("accuracy_best_val")
    at_chance = accuracy == 1 / space.options.classes
    return Presentation(
        line=row.line,
        net=net,
        accuracy=accuracy,
        epsilon=row.probability("epsilon"),
        update=row.number("ix_q_value_update"),
        finished=_time(row),
        machine=one_line(row.cells.get("machine_run_on", ""), 200),
        learned=not (at_chance and "iter_best_val" in row.cells and row.number("iter_best_val") == 0),
    )


def _time(row: Row) -> datetime:
    seconds = row.number("time_finished") if "time_finished" in row.cells else 0.0
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise RowError(f"time_finished is {seconds:g}, which is not a valid time in seconds since 1970") from None
