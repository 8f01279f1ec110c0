"""Data to standard output, everything else to standard error.

All text leaves through here. What comes from trainers, stores and people may hold commands for a terminal, so whatever
cannot be seen is written out (`visible`).
"""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from metaqnn_orch.application.listener import Tone
from metaqnn_orch.errors import redacted

PROGRAM: Final = "metaqnn-orch"

_UNBROKEN: Final = 10_000  # columns: a row of data is one line, which can be copied, whatever the terminal's width

_STYLES: Final = {Tone.PLAIN: "", Tone.ASIDE: "dim", Tone.CAUTION: "yellow"}

_UNREADABLE: Final = 1e15  # from here on a number is shown by its exponent

_NARROWEST: Final = 40  # columns in which a wrapped value can still be read


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"


class RowFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Progress(Console):
    """Standard error, as long as somebody reads it: a search does not end because its progress is no longer wanted."""

    def __init__(self) -> None:
        super().__init__(stderr=True, soft_wrap=True, highlight=False)

    def on_broken_pipe(self) -> None:
        self.quiet = True


def visible(text: str) -> str:
    """`text` with everything that a terminal would obey or hide written out; line breaks stay."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode()
        for letter in text
    )


def say(*parts: str | tuple[str, str], to: Console | None = None) -> None:
    """One line to standard error, of plain parts and of parts with a style."""
    styled = [(visible(part), "") if isinstance(part, str) else (visible(part[0]), part[1]) for part in parts]
    with suppress(OSError):  # whoever listens or not, the work goes on
        (to or Progress()).print(Text.assemble(*styled))


def tell(line: str, tone: Tone = Tone.PLAIN, *, to: Console | None = None) -> None:
    """The same, of one part, for whoever knows of no styles."""
    say((line, _STYLES[tone]), to=to)


def complain(message: str, hint: str = "") -> None:
    """An error: what is wrong, and what to do."""
    say(("error: ", "bold red"), redacted(message))
    if hint:
        say(("hint: ", "bold"), typeable(hint))


def typeable(text: str) -> str:
    """`text` with this program's name so that its commands can be typed as they stand: by the path that the program
    was started by, where the shell would not find it, or would find another, by its name. Twice is once."""
    started, found = Path(sys.argv[0]), shutil.which(PROGRAM)
    if started.name != PROGRAM or (found is not None and started.exists() and started.samefile(found)):
        return text
    return re.sub(rf"(?<![\w/-]){PROGRAM} ", lambda match: f"{shlex.quote(sys.argv[0])} ", text)


def emit(text: str) -> None:
    """Data to standard output.

    Raises:
        SystemExit: as `lost_stdout` says.
    """
    sys.stdout.write(text)
    sys.stdout.flush()


def lost_stdout(error: OSError) -> NoReturn:
    """
    Raises:
        SystemExit: nobody reads on, or nothing more can be written there. No library takes it for its own error.
    """
    if isinstance(error, BrokenPipeError):  # as with `| head`
        raise SystemExit(128 + signal.SIGPIPE) from None
    complain(f"cannot write to standard output: {error.strerror}")
    raise SystemExit(1) from None


def print_lines(lines: Iterable[str]) -> None:
    emit("".join(visible(line) + "\n" for line in lines))


def print_json(value: object) -> None:
    emit(json.dumps(value, indent=2, allow_nan=False) + "\n")


def print_csv(fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    emit(csv_text(fields, rows))


def csv_text(fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Of rows that may say more than these fields."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def print_rows(columns: Mapping[str, str], rows: Iterable[Sequence[object]]) -> None:
    """A table, one line for each row. `columns` are headings with the format of their numbers; text has none."""
    table = _table()
    for heading, form in columns.items():
        table.add_column(Text.assemble((heading, "bold")), justify="right" if form else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell(value, form)) for value, form in zip(row, columns.values(), strict=True)))
    _print(table, wrap=False)


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Names and values, one below the other; long values are wrapped on a terminal."""
    table = _table(show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        table.add_row(Text(visible(name)), Text(cell(value)))
    _print(table, wrap=True)


def cell(value: object, form: str = "") -> str:
    """One value in a table."""
    match value:
        case None:
            return "-"
        case float() if abs(value) >= _UNREADABLE:
            return format(value, ".3g")
        case int() | float() if not isinstance(value, bool):
            return format(value, form or (",d" if isinstance(value, int) else "g"))
        case _:
            return visible(str(value)).replace("\n", "\\n")


def _table(**options: Any) -> Table:
    return Table(box=None, pad_edge=False, header_style="", **options)


def _print(table: Table, *, wrap: bool) -> None:
    here, text = Console(), io.StringIO()
    width = max(here.width, _NARROWEST) if wrap and here.is_terminal else _UNBROKEN
    console = Console(file=text, force_terminal=here.is_terminal, width=width, height=here.height, highlight=False)
    console.print(table)
    emit("".join(line.rstrip() + "\n" for line in text.getvalue().splitlines()))
