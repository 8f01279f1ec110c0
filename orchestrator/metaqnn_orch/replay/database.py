"""Reads the authors' replay database: the presentations of nets to the agent, in their order.

The authors' program is not the only one that writes such files: forks of it left columns out, added others, and wrote
times in their own way. What a column says is needed only where nothing can be assumed in its place; what was assumed is
said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from metaqnn_orch.errors import BadInput, one_line
from metaqnn_orch.replay.format import COLUMNS, Refusals, Row, RowError, columns_of, read_rows
from metaqnn_orch.replay.moments import read_moment
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.spaces.base import IllegalDesign, Space
from metaqnn_trainer.spaces.cnn.notation import format_net

REQUIRED: Final = ("net", "accuracy_best_val")
ORDER: Final = "ix_q_value_update"
_ONCE: Final = (ORDER, "epsilon")
_REST: Final = f"the other columns may be left out, {ORDER} where the rows are in order"

_SPACE: Final = "metaqnn-orch space PRESET_OR_FILE says what a space allows, and --set space.KEY=VALUE changes it"


class Presentation(NamedTuple):
    """One row: a net that was presented to the agent."""

    line: int
    net: str
    accuracy: float
    epsilon: float | None
    """The epsilon at which it was sampled; None where the file does not say it."""
    update: float
    """Number of the update; presentations are ordered by it. Where the file has none, the number of the row."""
    finished: datetime
    """When its training ended; 1970 where the file does not say it."""
    machine: str
    learned: bool
    """Whether the net learned; False where every learning rate failed and the net counts as trained at chance."""


class Replay(NamedTuple):
    """A file's presentations in their order, and the rows that were refused."""

    file: str
    data: bytes
    presentations: list[Presentation]
    refusals: Refusals
    notes: list[str]
    """What was assumed because the file does not say it, and what it says that is not used; a sentence each."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def read_replay(data: bytes, file: str, settings: Settings) -> Replay:
    """The rows that the searcher of a run with these settings can be told.

    Raises:
        BadInput: it is no replay database, or has no row that can be used.
    """
    refusals = Refusals()
    space, columns = settings.state_space(), columns_of(data, file)
    rows: list[Presentation] = []
    required = [*REQUIRED, *(column for column in _ONCE if columns.count(column) > 1)]
    for number, row in enumerate(read_rows(data, file, required, refusals, _REST), 1):
        try:
            rows.append(_presentation(row, number, space))
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
        hint = "\n".join([str(refusals), *refusals.advice]) if refusals.count else ""
        raise BadInput(f"{file} has no row that can be used", hint=hint)
    return Replay(file, data, told, refusals, _notes(file, columns))


def _notes(file: str, columns: Sequence[str]) -> list[str]:
    absent = [column for column in COLUMNS if column not in columns]
    further = [column for column in columns if column and column not in COLUMNS]
    assumed = ["its rows are taken to be in the order in which the agent learned"] if ORDER in absent else []
    notes = []
    if absent:
        rest = "the rest is" if assumed else "these are"
        assumed += [f"{rest} taken to be unknown"] if set(absent) != {ORDER} else []
        notes.append(f"{file} lacks {', '.join(absent)}: {', and '.join(assumed)}")
    if further:
        notes.append(f"not used of {file}: {', '.join(further)}")
    return [one_line(note, 500) for note in notes]


def _presentation(row: Row, number: int, space: Space) -> Presentation:
    net = format_net(row.net())
    try:
        space.walk(net)
    except IllegalDesign as error:
        raise RowError(f"the net is not in the space: {error}", _SPACE) from None
    accuracy = row.probability("accuracy_best_val")
    at_chance = accuracy == 1 / space.options.classes
    return Presentation(
        line=row.line,
        net=net,
        accuracy=accuracy,
        epsilon=row.probability("epsilon") if row.says("epsilon") else None,
        update=row.number(ORDER) if ORDER in row.cells else float(number),
        finished=_time(row),
        machine=one_line(row.cells.get("machine_run_on", ""), 200),
        learned=not (at_chance and row.says("iter_best_val") and row.number("iter_best_val") == 0),
    )


def _time(row: Row) -> datetime:
    text = row.cells.get("time_finished", "")
    try:
        return read_moment(text)
    except ValueError:
        raise RowError(
            f"time_finished is {text.strip()}, which is not a valid time (such as 1556882530 or 2019-05-03 11:22:10)",
            "the column time_finished may be left out",
        ) from None
