"""The authors' replay database as foreign text: every row is read, or refused with a reason, and nothing stumbles."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.errors import BadInput
from metaqnn_orch.replay.format import COLUMNS, MAX_FILE_BYTES, Refusals, Row, RowError, read_rows
from metaqnn_trainer.spaces.cnn.notation import format_net

RECORDED = Path(__file__).parents[3] / "shared" / "paper" / "replay_sample.csv"
HEAD = b"net,accuracy\n"


def read(data: bytes) -> tuple[list[Row], Refusals]:
    refusals = Refusals()
    return list(read_rows(data, "a.csv", ("net", "accuracy"), refusals)), refusals


def row(**cells: str) -> Row:
    return Row(2, {"net": "[SM(10)]", "accuracy": "0.5", **cells})


@pytest.mark.skipif(not RECORDED.exists(), reason="the authors' replay memory is not here")
def test_the_recorded_rows_are_all_read() -> None:
    refusals = Refusals()
    rows = list(read_rows(RECORDED.read_bytes(), "theirs", COLUMNS, refusals))
    assert len(rows) == 300
    assert refusals.count == 0
    assert tuple(rows[0].cells) == COLUMNS
    assert format_net(rows[0].net()) == "[C(256,1,1), GAP(10), SM(10)]"
    assert all(0.1 <= row.probability("accuracy_best_val") < 1 for row in rows)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\N{ZERO WIDTH NO-BREAK SPACE}"], ids=["plain", "byte order mark"])
def test_every_end_of_line_and_a_byte_order_mark(end: str, mark: str) -> None:
    lines = [mark + "net, accuracy ", '"[C(64,1,1), SM(10)]",0.5', "", "  ", "[SM(10)],.25"]
    rows, refusals = read(end.join(lines).encode())
    assert refusals.count == 0
    assert [(row.line, format_net(row.net()), row.probability("accuracy")) for row in rows] == [
        (2, "[C(64,1,1), SM(10)]", 0.5),
        (5, "[SM(10)]", 0.25),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'"[SM(10)],0.5', "it is not valid CSV: unexpected end of data"),
        (b'"[SM(10)]"x,0.5', "it is not valid CSV"),
        (b"[SM(10)]", "it has 1 cell where the first line names 2 columns"),
        (b"[C(64,1,1), SM(10)],0.5", "it has 5 cells where the first line names 2 columns"),
        (b"a" * 10_001 + b",0.5", "it has 10005 characters, more than the 10000"),
    ],
)
def test_a_spoilt_line_spoils_itself_alone(line: bytes, reason: str) -> None:
    rows, refusals = read(HEAD + b"[SM(10)],0.1\n" + line + b"\n[SM(10)],0.2\n")
    assert [row.number("accuracy") for row in rows] == [0.1, 0.2]
    assert refusals.count == 1
    assert refusals.reasons[0].startswith(f"line 3: {reason}")


@pytest.mark.parametrize(
    "text", ["", " ", "nan", "inf", "-inf", "1e999", "0x1p-1", "1_0", "½", "0,5", "--1", "1 2", "\0"]
)
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(RowError, match="which is not a number"):
        row(accuracy=text).number("accuracy")


@pytest.mark.parametrize("text", ["86.0", "1.0000001", "-0.1", "-1", "1e300"])
def test_an_accuracy_is_a_fraction(text: str) -> None:
    """86.0 stands in the authors' debug runs."""
    with pytest.raises(RowError, match="which is not between 0 and 1"):
        row(accuracy=text).probability("accuracy")


@pytest.mark.parametrize(
    "net", ["", "[]", "SM(10)", "[X(1)]", "[SM(10)", "[SM(10)]\0", "[C(64,1,1)] \x1b[2J", "𝟙" * 5_000]
)
def test_what_is_no_net(net: str) -> None:
    with pytest.raises(RowError, match="the net is not valid"):
        row(net=net).net()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "must have the columns net and accuracy, each once"),
        (b"\n", "must have the columns net and accuracy, each once"),
        (b"net|accuracy\n", "must have the columns net and accuracy, each once; it is: net|accuracy"),
        (b"net;acc\n", "must have the columns accuracy, each once; it is: net, acc"),
        (b"net,acc\n", "must have the columns accuracy, each once"),
        (b"net,accuracy,net\n", "must have the columns net, each once"),
        (b'"net,accuracy\n', "does not begin with the names of its columns"),
        (b"\xff\xfen\0e\0t\0", "must have the columns net and accuracy, each once"),  # UTF-16
        (b"\x1f\x8b\x08\0" * 4000, "does not begin with the names of its columns"),
        (b"PK\x03\x04\x1b[2J" + b"\n" * 9, "must have the columns net and accuracy, each once"),
    ],
)
def test_a_file_of_another_kind(data: bytes, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(data)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_a_file_that_is_too_large() -> None:
    with pytest.raises(BadInput, match="67108865 bytes, but may have at most 67108864"):
        read(bytes(MAX_FILE_BYTES + 1))


def test_the_first_reasons_are_kept_and_the_rest_counted() -> None:
    _, refusals = read(HEAD + b"x\n" * 1000)
    assert refusals.count == 1000
    assert str(refusals).splitlines()[0] == "1000 rows were refused:"
    assert str(refusals).splitlines()[1].startswith("  line 2: ")
    assert str(refusals).splitlines()[-1] == "  ... and 995 more"
    _, single = read(HEAD + b"x\n")
    assert str(single).splitlines()[0] == "1 row was refused:"
    assert len(str(single).splitlines()) == 2


def test_a_hundred_thousand_rows() -> None:
    rows, refusals = read(HEAD + b'"[C(64,1,1), SM(10)]",0.5\n"[SM(10)]",86.0\n' * 50_000)
    assert len(rows) == 100_000
    assert rows[-1].line == 100_001
    assert refusals.count == 0, "numbers are judged by whoever needs them"


cells = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.tuples(cells, cells), max_size=5))
def test_what_the_csv_module_writes_is_read(content: list[tuple[str, str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([("net", "accuracy"), *content])
    rows, refusals = read(text.getvalue().encode())
    assert refusals.count == 0
    assert [(row.cells["net"], row.cells["accuracy"]) for row in rows] == content


@given(st.binary(max_size=300))
def test_any_bytes_are_rows_or_refusals_or_bad_input(data: bytes) -> None:
    for whole in (data, HEAD + data):
        refusal = ""
        try:
            rows, refusals = read(whole)
            assert all(set(row.cells) >= {"net", "accuracy"} for row in rows)
            assert all(reason.isprintable() for reason in refusals.reasons)
        except BadInput as error:
            refusal = str(error)
        assert refusal == "" or refusal.isprintable()


@given(st.text(max_size=30))
def test_any_text_is_a_net_and_a_number_or_a_reason(text: str) -> None:
    uses: list[Callable[[Row], object]] = [
        Row.net,
        lambda row: row.number("accuracy"),
        lambda row: row.probability("accuracy"),
    ]
    for use in uses:
        with suppress(RowError):
            use(row(net=text, accuracy=text))
