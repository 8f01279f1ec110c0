from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.cli.output import (
    cell,
    complain,
    csv_text,
    print_fields,
    print_json,
    print_lines,
    print_listed,
    print_rows,
    print_wrapped,
    say,
    visible,
)
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import PROGRAM
from tests.control.world import Session, settings

EVIL = "\x1b[2J\x1b]0;owned\x07\r\x9b31m\u202egnp.exe\u200b\x00"


@given(st.text())
def test_what_is_visible_is_printable_and_loses_nothing(text: str) -> None:
    shown = visible(text)
    assert shown.replace("\n", "").isprintable()
    if text.replace("\n", "").isprintable():
        assert shown == text


@given(st.text(st.characters(exclude_characters="\\")), st.text(st.characters(exclude_characters="\\")))
def test_two_texts_look_alike_only_if_they_are(one: str, other: str) -> None:
    assert (visible(one) == visible(other)) == (one == other)


def test_commands_for_a_terminal_are_written_out() -> None:
    assert visible(EVIL) == r"\x1b[2J\x1b]0;owned\x07\r\x9b31m\u202egnp.exe\u200b\x00"


@pytest.mark.parametrize("terminal", ["xterm-256color", "dumb"])
def test_nothing_obeyed_by_a_terminal_gets_out_anywhere(
    terminal: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", terminal)
    say(EVIL, (EVIL, "bold"))
    complain(EVIL, EVIL)
    print_lines([EVIL])
    print_rows({"a": "", "b": ",d"}, [(EVIL, 1)])
    print_fields([(EVIL, EVIL)])
    print_json({EVIL: EVIL})
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        assert "owned" in text
        assert text.replace("\n", "").isprintable()


def test_markup_of_rich_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    say("[red]no[/red] pip install 'metaqnn-orch[train]' :smile:")
    print_rows({"net": ""}, [("[C(64,3,1), SM(10)]",), ("[bold]x",)])
    captured = capsys.readouterr()
    assert captured.err == "[red]no[/red] pip install 'metaqnn-orch[train]' :smile:\n"
    assert captured.out == "net\n[C(64,3,1), SM(10)]\n[bold]x\n"


def test_an_error_is_one_line_and_a_hint_another(capsys: pytest.CaptureFixture[str]) -> None:
    complain("it is " + "very " * 100 + "bad", "mend it")
    complain("it is bad")
    assert capsys.readouterr().err == f"error: it is {'very ' * 100}bad\nhint: mend it\nerror: it is bad\n"


def test_a_row_is_a_line_with_numbers_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(
        {"name": "", "params": ",d", "accuracy": ".4f", "net": ""},
        [("a", 12_345, 0.5, "x" * 500), ("b\nc", 1, None, "y")],
    )
    assert capsys.readouterr().out.splitlines() == [
        "name  params  accuracy  net",
        "a     12,345    0.5000  " + "x" * 500,
        "b\\nc       1         -  y",
    ]


@pytest.mark.parametrize(
    ("columns", "lines"),
    [
        (40, ["id  params  accuracy  net", "a   12,345    0.5000  [SM(10)]", "b       11         -  y"]),
        (24, ["id  params  accuracy", "   net", "a   12,345    0.5000", "   [SM(10)]", "b       11         -", "   y"]),
        (
            16,
            [
                *("id  params", "   accuracy", "   net"),
                *("a   12,345", "     0.5000", "   [SM(10)]"),
                *("b       11", "          -", "   y"),
            ],
        ),
    ],
)
def test_on_a_narrow_terminal_a_row_goes_on_below_and_no_value_is_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int, lines: list[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = [("a", 12_345, 0.5, "[SM(10)]"), ("b", 11, None, "y")]
    print_rows({"id": "", "params": ",d", "accuracy": ".4f", "net": ""}, rows)
    plain = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)
    assert plain.splitlines() == lines


def test_on_a_narrow_terminal_a_long_name_leaves_room_for_its_value(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    print_fields([("trained nets that begin like this one does", "ten or more of them")])
    plain = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)
    assert plain.splitlines() == ["trained nets that    ten or more of them", "begin like this one", "does"]


SETTINGS = [
    ("recipe.epochs", "preset", "15"),
    ("nets", "default", "[]"),
    ("execution.kubernetes.keys", "file", "{1: 2}"),
]


@pytest.mark.parametrize(
    ("columns", "lines"),
    [
        (
            60,
            [
                *("setting                    origin   value", "recipe.epochs              preset   15"),
                *("nets                       default  []", "execution.kubernetes.keys  file     {1: 2}"),
            ],
        ),
        (
            38,
            [
                *("setting        origin   value", "recipe.epochs  preset   15", "nets           default  []"),
                *("execution.kubernetes.keys  file", "    {1: 2}"),
            ],
        ),
        (
            26,
            [
                *("setting  origin  value", "recipe.epochs  preset  15", "nets  default  []"),
                *("execution.kubernetes.keys", "    file  {1: 2}"),
            ],
        ),
    ],
)
def test_on_a_narrow_terminal_the_longest_rows_of_a_list_leave_their_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int, lines: list[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    print_listed(("setting", "origin", "value"), SETTINGS)
    plain = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)
    assert plain.splitlines() == lines


def test_on_a_terminal_lines_break_at_spaces_and_go_on_indented(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["✓ store: conditional writes: the second of two was refused", f"    pip install {'x' * 50}", ""]
    print_wrapped(lines)
    assert capsys.readouterr().out.splitlines() == lines, "a file gets each in one line"
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    print_wrapped(lines)
    assert capsys.readouterr().out.splitlines() == [
        *("✓ store: conditional writes: the second", "  of two was refused"),
        *("    pip install", f"      {'x' * 50}", ""),
    ]


def test_no_rows_leave_the_headings(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows({"name": "", "params": ",d"}, [])
    assert capsys.readouterr().out == "name  params\n"


def test_fields_stand_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields([("run", "first"), ("in flight", 2), ("epsilon", 0.1), ("holder", None), ("long", "word " * 100)])
    assert capsys.readouterr().out.splitlines() == [
        "run        first",
        "in flight  2",
        "epsilon    0.1",
        "holder     -",
        "long       " + ("word " * 100).strip(),
    ]


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (None, ".4f", "-"),
        (1_234_567, "", "1,234,567"),
        (1.0, "", "1"),
        (0.25, "", "0.25"),
        (0.25, ".1f", "0.2"),
        (True, "", "True"),
        ("text", "", "text"),
        (0, "d", "0"),
    ],
)
def test_a_cell(value: object, form: str, shown: str) -> None:
    assert cell(value, form) == shown


def test_json_is_ascii_and_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"é": ["\x1b"]})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"é": ["\x1b"]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json(float("nan"))


rows: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"net": st.text(st.characters(codec="utf-8", exclude_characters="\r\0")), "params": st.integers()}
)


@given(st.lists(rows, max_size=3))
def test_csv_comes_back(found: list[dict[str, Any]]) -> None:
    again = list(csv.DictReader(io.StringIO(csv_text(["net", "params"], found))))
    assert [{**row, "params": int(row["params"])} for row in again] == found


@pytest.mark.parametrize("command", ["report", "pull"])
def test_a_hint_names_the_program_as_it_was_started_once(tmp_path: Path, command: str) -> None:
    Session(DirectoryStore(tmp_path), settings()).open()
    told = [str(PROGRAM), command, "test", "--store", str(tmp_path), "--to", str(tmp_path / "to")]
    done = subprocess.run(told, env={"PATH": "/nowhere"}, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == f"hint: {PROGRAM} status test --store {tmp_path}"
