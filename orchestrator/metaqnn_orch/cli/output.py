"""Writes data to standard output, and everything else to standard error.

All text leaves the program through this module. Text from trainers, stores and people may hold control sequences for
a terminal, so characters that cannot be seen are escaped (`visible`).
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
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NoReturn

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from metaqnn_orch.application.listener import Tone
from metaqnn_orch.errors import redacted
from metaqnn_orch.reporting.schemas import plain

PROGRAM: Final = "metaqnn-orch"

_UNBROKEN: Final = 10_000  # columns: a value is never broken, so that it can be copied
_TRAILING: Final = re.compile(r"(?: |\x1b\[[01]m)+$")  # spaces at the end, also in bold
_GAP: Final = "  "  # between two columns

_STYLES: Final = {Tone.PLAIN: "", Tone.ASIDE: "dim", Tone.CAUTION: "yellow"}

_UNREADABLE: Final = 1e15  # from this size on a number is shown with an exponent

_LAST: Final = 20  # columns that a list leaves for what comes last, if that needs as many
_NARROWEST: Final = 40  # columns in which a wrapped value can still be read


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"


class RowFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Progress(Console):
    """Standard error, as long as somebody reads it: a search does not end because nobody reads its progress any
    more.
    """

    def __init__(self) -> None:
        super().__init__(stderr=True, soft_wrap=True, highlight=False)

    def on_broken_pipe(self) -> None:
        self.quiet = True


def visible(text: str) -> str:
    """`text` with every character escaped that a terminal would obey or hide; line breaks stay."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode()
        for letter in text
    )


def say(*parts: str | tuple[str, str], to: Console | None = None) -> None:
    """Print one line to standard error, made of plain parts and of parts with a style."""
    styled = [(visible(part), "") if isinstance(part, str) else (visible(part[0]), part[1]) for part in parts]
    with suppress(OSError):  # the work goes on whether anybody reads this or not
        (to or Progress()).print(Text.assemble(*styled))


def tell(line: str, tone: Tone = Tone.PLAIN, *, to: Console | None = None) -> None:
    """Print one line to standard error, for callers that do not know styles."""
    say((line, _STYLES[tone]), to=to)


def complain(message: str, hint: str = "") -> None:
    """Print an error: what is wrong, and what to do."""
    say(("error: ", "bold red"), redacted(message))
    if hint:
        say(("hint: ", "bold"), typeable(hint))


def typeable(text: str) -> str:
    """`text` with the program's name replaced so that its commands can be typed as they stand: by the path that the
    program was started with, if the shell would not find the program by its name, or would find another one.
    Applying it twice changes nothing more.
    """
    started, found = Path(sys.argv[0]), shutil.which(PROGRAM)
    if started.name != PROGRAM or (found is not None and started.exists() and started.samefile(found)):
        return text
    return re.sub(rf"(?<![\w/-]){PROGRAM} ", lambda match: f"{shlex.quote(sys.argv[0])} ", text)


def emit(text: str) -> None:
    """Print data to standard output.

    Raises:
        SystemExit: as `lost_stdout` says.
    """
    sys.stdout.write(text)
    sys.stdout.flush()


def lost_stdout(error: OSError) -> NoReturn:
    """Leave because standard output cannot be written to. No library takes SystemExit for an error of its own.

    Raises:
        SystemExit: the reader has stopped reading, or the disk is full, for example.
    """
    if isinstance(error, BrokenPipeError):  # as with `| head`
        raise SystemExit(128 + signal.SIGPIPE) from None
    complain(f"cannot write to standard output: {error.strerror}")
    raise SystemExit(1) from None


def print_lines(lines: Iterable[str]) -> None:
    emit("".join(visible(line) + "\n" for line in lines))


def print_wrapped(lines: Iterable[str]) -> None:
    """Print lines that on a terminal are broken at spaces; what follows is indented by two more than the line is."""
    here = Console()
    room = max(here.width, _NARROWEST) if here.is_terminal else _UNBROKEN
    for line in map(visible, lines):
        for paragraph in line.split("\n"):
            text = paragraph.lstrip(" ")
            indent = " " * (len(paragraph) - len(text))
            broken = textwrap.wrap(
                text,
                room,
                initial_indent=indent,
                subsequent_indent=indent + "  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
            emit("\n".join(broken or [""]) + "\n")


def print_json(value: object) -> None:
    """Print an answer for scripts: one JSON document."""
    emit(json.dumps(plain(value), indent=2, allow_nan=False) + "\n")


def print_csv(fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    emit(csv_text(fields, rows))


def csv_text(fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV with these fields; further fields of a row are left out."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def print_rows(columns: Mapping[str, str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, one line for each row. `columns` are headings with the format of their numbers; text has no
    format. On a terminal that is too narrow a row goes on in indented lines, as do the headings; each value stays
    whole, so that it can be copied.
    """
    forms, here = [*columns.values()], Console()
    cells = [[cell(value, form) for value, form in zip(row, forms, strict=True)] for row in rows]
    widths = [max(map(cell_len, texts)) for texts in zip(columns, *cells, strict=True)]
    parts = _parts(widths, here.width if here.is_terminal else _UNBROKEN)
    tables = []
    for number, part in enumerate(parts):
        table = _table()
        table.add_column("", width=1) if number else None
        for n in part:
            heading = Text([*columns][n], "bold")
            table.add_column(heading, justify="right" if forms[n] else "left", no_wrap=True)
        for row in cells:
            table.add_row(*([""] if number else []), *(Text(row[n]) for n in part))
        tables.append(_lines(table, _UNBROKEN))
    emit("".join(line for row in zip(*tables, strict=True) for line in row))


def _parts(widths: Sequence[int], room: int) -> list[list[int]]:
    """The columns of each line of a row, by their numbers, so that as many lines as possible fit."""
    if sum(widths) + len(_GAP) * (len(widths) - 1) <= room:
        return [[*range(len(widths))]]
    parts: list[list[int]] = []
    left = 0
    for number, width in enumerate(widths):
        left -= width + len(_GAP)
        if left < 0 or number == len(widths) - 1:  # the last one is often the longest
            parts.append([])
            left = room - width - (len(_GAP) if number else 0)
        parts[-1].append(number)
    return parts


def print_listed(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows of text, each in one line where it fits. On a terminal that is too narrow for the longest ones, these
    leave their columns; what is left of a row then stands in an indented line. Each value stays whole.
    """
    here = Console()
    cells = [[cell(value) for value in row] for row in rows]
    widths = [max(map(cell_len, texts)) for texts in zip(columns, *cells, strict=True)]
    room = here.width if here.is_terminal else _UNBROKEN
    spare = room - sum(widths[1:-1]) - len(_GAP) * (len(widths) - 1) - min(widths[-1], _LAST)
    fitting = [size for row in cells if (size := cell_len(row[0])) <= spare]
    widths = [max(fitting), *widths[1:]] if len(fitting) > len(cells) // 2 else [0] * len(widths)
    lines = [line for row in cells for line in _flowing(row, widths, room)]
    table = _table()
    table.add_column(Text("\n".join(_flowing(columns, widths, room)), "bold"), no_wrap=True)
    for line in lines:
        table.add_row(Text(line))
    emit("".join(_lines(table, _UNBROKEN)))


def _flowing(texts: Sequence[str], widths: Sequence[int], room: int) -> Iterator[str]:
    """The lines of a row, whose cells stand in columns of these widths, or behind what is longer."""
    line, stop = "", 0
    for text, width in zip(texts, widths, strict=True):
        start = max(stop, cell_len(line) + len(_GAP)) if line else 0
        if line and start + cell_len(text) > room:
            yield line
            line = _GAP * 2 + text
        else:
            line += " " * (start - cell_len(line)) + text
        stop += width + len(_GAP)
    yield line


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one below the other; long values are wrapped on a terminal."""
    here = Console()
    width = max(here.width, _NARROWEST) if here.is_terminal else _UNBROKEN
    table = _table(show_header=False)
    table.add_column(style="bold", max_width=width // 2)
    table.add_column(overflow="fold")
    for name, value in fields:
        table.add_row(Text(visible(name)), Text(cell(value)))
    emit("".join(_lines(table, width)))


def cell(value: object, form: str = "") -> str:
    """One value as the text of a table's cell."""
    match value:
        case None:
            return "-"
        case float() if abs(value) >= _UNREADABLE:
            return format(value, ".3g")
        case int() | float() if not isinstance(value, bool):
            return format(value, form or (",d" if isinstance(value, int) else "g"))
        case _:
            return visible(str(value)).replace("\n", "\\n")


def size_in_words(size: int) -> str:
    """A number of bytes in the unit that suits it."""
    scaled = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if scaled < 1000 or unit == "GB":
            break
        scaled /= 1000
    return f"{size:,} bytes" if unit == "bytes" else f"{scaled:,.1f} {unit}"


def _table(**options: Any) -> Table:
    return Table(box=None, pad_edge=False, header_style="", **options)


def _lines(table: Table, width: int) -> list[str]:
    """The lines of a table, which end where their text does."""
    here, text = Console(), io.StringIO()
    console = Console(file=text, force_terminal=here.is_terminal, width=width, height=here.height, highlight=False)
    console.print(table)
    return [_TRAILING.sub(_reset, line) + "\n" for line in text.getvalue().splitlines()]


def _reset(end: re.Match[str]) -> str:
    """What is left of the end of a line."""
    return "\x1b[0m" if "\x1b[0m" in end[0] else ""
