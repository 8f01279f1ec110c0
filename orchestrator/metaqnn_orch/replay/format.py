"""The authors' replay database as text: CSV, one row for each presentation of a net to the agent (bowenbaker/metaqnn).

A file from the authors, or written by hand, is foreign data: it is read line by line, and each line that cannot be used
is refused by itself, with a reason. Nets have the authors' dropout, D(i,n), which is no part of a net's identity here.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from metaqnn_orch.errors import BadInput, one_line
from metaqnn_orch.settings.model import Settings
from metaqnn_trainer.contract.errors import NotationError
from metaqnn_trainer.contract.messages import CLASSIFICATION
from metaqnn_trainer.contract.text import amount
from metaqnn_trainer.spaces.base import DEFAULT_FAMILY
from metaqnn_trainer.spaces.cnn.layer import Net
from metaqnn_trainer.spaces.cnn.notation import parse_net

COLUMNS: Final = (
    "net",
    "accuracy_best_val",
    "iter_best_val",
    "accuracy_last_val",
    "iter_last_val",
    "accuracy_best_test",
    "accuracy_last_test",
    "ix_q_value_update",
    "epsilon",
    "time_finished",
    "machine_run_on",
)
UNKNOWN: Final = -1.0
"""The authors' number for a value that was never measured, such as their test accuracies."""

MAX_FILE_BYTES: Final = 1 << 26  # bytes: some 300,000 rows
_MAX_LINE: Final = 10_000  # characters; a net has at most 4,096
_NUMBER: Final = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_SHOWN: Final = 5


def is_number(text: str) -> bool:
    """Whether this is a number in decimal notation, perhaps with an exponent."""
    return _NUMBER.fullmatch(text.strip(" ")) is not None


def refuse_other_runs(settings: Settings, file: str) -> None:
    """
    Raises:
        BadInput: such a file says nothing of what these settings search for.
    """
    for key, said, wanted in (
        ("space.family", settings.space.family, DEFAULT_FAMILY),
        ("task.name", settings.task.name, CLASSIFICATION.name),
    ):
        if said != wanted:
            raise BadInput(
                f"{file} is to hold nets of the {DEFAULT_FAMILY} family with the accuracies of their classification, "
                f"and {key} is {said}",
                hint="warm_start.run begins with what a run of this store was told",
            )


class RowError(ValueError):
    """A row is refused; the text says why, in one line."""

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(reason)
        self.advice = advice
        """What to do where all rows are refused like this one; empty if nothing general can be said."""


class Row(NamedTuple):
    """One line of the file, cell by cell."""

    line: int
    cells: dict[str, str]

    def net(self) -> Net:
        """The net of the row.

        Raises:
            RowError: not the text of a net.
        """
        try:
            return parse_net(self.cells["net"])
        except NotationError as error:
            raise RowError(f"the net is not valid: {error}") from None

    def says(self, column: str) -> bool:
        """Whether the row has something in a column. Nothing is there where it is empty, or the authors' UNKNOWN."""
        text = self.cells.get(column, "").strip()
        return text != "" and not (is_number(text) and float(text) == UNKNOWN)

    def number(self, column: str) -> float:
        """The number in a column.

        Raises:
            RowError: not a finite number in decimal notation.
        """
        text = self.cells[column].strip(" ")
        if not is_number(text) or abs(value := float(text)) == float("inf"):
            raise RowError(f"{column} is {text!r}, which is not a number")
        return value

    def probability(self, column: str) -> float:
        """The probability in a column.

        Raises:
            RowError: not a number between 0 and 1.
        """
        value = self.number(column)
        if not 0 <= value <= 1:
            advice = f"{column} is a fraction: divide percentages by 100" if 1 < value <= 100 else ""
            raise RowError(f"{column} is {value:g}, which is not between 0 and 1", advice)
        return value


class Refusals:
    """The number of rows that were refused, and the reasons for the first ones."""

    def __init__(self) -> None:
        self.count = 0
        self.reasons: list[str] = []
        self.advice: dict[str, None] = {}
        """What to do about the refused rows, in the order of the rows."""

    def add(self, line: int, error: RowError) -> None:
        self.count += 1
        if error.advice:
            self.advice[error.advice] = None
        if len(self.reasons) < _SHOWN:
            self.reasons.append(one_line(f"line {line}: {error}"))

    def __str__(self) -> str:
        more = f"\n  ... and {self.count - len(self.reasons)} more" if self.count > len(self.reasons) else ""
        rows = "1 row was" if self.count == 1 else f"{self.count} rows were"
        return f"{rows} refused:" + "".join(f"\n  {reason}" for reason in self.reasons) + more


def read_file(path: Path) -> bytes:
    """The bytes of a CSV file; for one that is too large, the beginning, which is too large as well.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {str(path)!r}: {getattr(error, 'strerror', None) or error}") from None


def columns_of(data: bytes, what: str) -> list[str]:
    """The columns of a CSV file, which its first line names.

    Raises:
        BadInput: the first line is not valid CSV.
    """
    first = _first_line(data)
    try:
        return [name.strip() for name in _split(first, _separator(first))]
    except RowError as error:
        raise BadInput(f"{what} does not begin with the names of its columns: {error}") from None


def read_rows(data: bytes, what: str, required: Collection[str], refusals: Refusals, rest: str = "") -> Iterator[Row]:
    """The rows of a CSV file whose first line names its columns, in any order; empty lines are not rows. `rest` says
    what holds for columns that are not required. Where the first line has no comma, tabs or semicolons may separate.

    A row never spans lines, so that an open quotation mark spoils one row and not the rest.

    Raises:
        BadInput: the file is too large, or required columns are missing.
    """
    if len(data) > MAX_FILE_BYTES:
        raise BadInput(f"{what} has {len(data)} bytes, but may have at most {MAX_FILE_BYTES}")
    columns = columns_of(data, what)
    missing = [column for column in required if columns.count(column) != 1]
    if missing:
        found = one_line(", ".join(columns), 100) or "empty"
        raise BadInput(
            f"the first line of {what} must have the columns {' and '.join(missing)}, each once; it is: {found}",
            hint=rest,
        )
    separator = _separator(_first_line(data))
    # A character that is not UTF-8 spoils the row only if it stands in a cell that is needed.
    lines = re.split(r"\r\n|\n|\r", data.decode("utf-8-sig", errors="replace"))
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        try:
            cells = _split(line, separator)
            if len(cells) != len(columns):
                unquoted = "; a net must be in quotation marks" if line.lstrip().startswith("[") else ""
                raise RowError(
                    f"it has {amount(len(cells), 'cell')} where the first line names "
                    f"{amount(len(columns), 'column')}{unquoted}"
                )
        except RowError as error:
            refusals.add(number, error)
            continue
        yield Row(number, dict(zip(columns, cells, strict=True)))


def _first_line(data: bytes) -> str:
    first = re.split(rb"\r\n|\n|\r", data[: 4 * (_MAX_LINE + 2)], maxsplit=1)[0]
    return first.decode("utf-8-sig", errors="replace")


def _separator(first_line: str) -> str:
    """What separates the cells: spreadsheets write semicolons where the decimal point is a comma."""
    return next((mark for mark in ",\t;" if mark in first_line), ",")


def _split(line: str, separator: str) -> list[str]:
    if len(line) > _MAX_LINE:
        raise RowError(f"it has {len(line)} characters, more than the {_MAX_LINE} that a row may have")
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        raise RowError(f"it is not valid CSV: {error}") from None
