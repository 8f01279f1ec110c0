from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_trainer.contract.errors import NotationError
from metaqnn_trainer.spaces.cnn.layer import Net
from metaqnn_trainer.spaces.cnn.layers.conv import Conv
from metaqnn_trainer.spaces.cnn.layers.fully_connected import FC
from metaqnn_trainer.spaces.cnn.layers.gap import GAP
from metaqnn_trainer.spaces.cnn.layers.max_pool import Pool
from metaqnn_trainer.spaces.cnn.layers.softmax import SM
from metaqnn_trainer.spaces.cnn.notation import MAX_CHARACTERS, MAX_LAYERS, format_net, parse_net, parse_prefix
from metaqnn_trainer.spaces.cnn.registry import kinds
from tests.spaces.cnn.nets import nets

BLANKS = st.text(" \t", max_size=3)


@given(nets())
def test_every_net_survives_being_written_and_read(net: Net) -> None:
    assert parse_net(format_net(net)) == net
    assert parse_prefix(format_net(net)) == net


@given(nets(), st.data())
def test_blanks_and_dropout_do_not_change_a_net(net: Net, data: st.DataObject) -> None:
    layers = [str(layer) for layer in net]
    for place in data.draw(st.lists(st.integers(0, len(net) - 1), max_size=3)):
        layers.insert(place, "D(1,2)")
    tokens = re.findall(r"[A-Z]+|[0-9]+|[(),\[\]]", f"[{','.join(layers)}]")
    text = "".join(data.draw(BLANKS) + token for token in tokens) + data.draw(BLANKS)
    assert parse_net(text) == net


def test_the_papers_text() -> None:
    text = "[C(512,5,1), P(2,2), FC(128), GAP(10), SM(10)]"
    assert parse_net(text) == (Conv(512, 5, 1), Pool(2, 2), FC(128), GAP(10), SM(10))
    assert format_net(parse_net(text)) == text
    assert parse_net("[SM(10)]\n") == (SM(10),)


def test_the_authors_dropout_is_left_out() -> None:
    assert parse_net("[C(128,1,1), C(256,5,1), D(1,2), P(5,3), SM(10)]") == parse_net(
        "[C(128,1,1), C(256,5,1), P(5,3), SM(10)]"
    )


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "expected '['"),
        ("   ", 1, "expected '['"),
        ("SM(10)", 1, "expected '[', found 'SM(10)'"),
        ("\n[SM(10)]", 1, "expected '['"),
        ("\ufeff[SM(10)]", 1, "expected '['"),
        ("[]", 2, "ends in a softmax"),
        ("[D(1,2)]", 8, "ends in a softmax"),
        ("[C(64,3,1)]", 11, "ends in a softmax"),
        ("[GAP(10)]", 9, "ends in a softmax"),
        ("[SM(10)", 8, "expected ',' or ']'"),
        ("[SM(10)}", 8, "expected ',' or ']', found '}'"),
        ("[SM(10),]", 9, "expected a layer"),
        ("[,SM(10)]", 2, "expected a layer"),
        ("[SM(10)] x", 10, "expected nothing more, found 'x'"),
        ("[SM(10)]]", 9, "expected nothing more, found ']'"),
        ("[SM(10)][SM(10)]", 9, "expected nothing more"),
        ("[[SM(10)]]", 2, "expected a layer"),
        ("[X(1), SM(10)]", 2, f"expected a layer: {', '.join(kinds())}, found 'X(1), SM(10)'"),
        ("[c(64,3,1), SM(10)]", 2, "expected a layer"),
        ("[CC(64,3,1), SM(10)]", 2, "expected a layer"),
        ("[C[64,3,1], SM(10)]", 3, "expected '('"),
        ("[C 64, SM(10)]", 4, "expected '(', found '64, SM(10)]'"),
        ("[C(), SM(10)]", 4, "expected a positive whole number"),
        ("[C(64,,1), SM(10)]", 7, "expected a positive whole number"),
        ("[C(64,3,1, SM(10)]", 12, "expected a positive whole number"),
        ("[C(-64,3,1), SM(10)]", 4, "expected a positive whole number"),
        ("[C(6.4,3,1), SM(10)]", 5, "expected ',' or ')'"),
        ("[C(1e3,3,1), SM(10)]", 5, "expected ',' or ')'"),
        ("[C(0x10,3,1), SM(10)]", 4, "between 1 and 65536"),
        ("[C(6_4,3,1), SM(10)]", 5, "expected ',' or ')'"),
        ("[C(٣,3,1), SM(10)]", 4, "expected a positive whole number"),
        ("[C(64,3³,1), SM(10)]", 8, "expected ',' or ')'"),
        ("[C(0,3,1), SM(10)]", 4, "between 1 and 65536"),
        ("[C(64,3,1), P(2,65537), SM(10)]", 17, "between 1 and 65536"),
        ("[C(64,3), SM(10)]", 2, "C takes 3 numbers, found 2"),
        ("[P(2,2,2), SM(10)]", 2, "P takes 2 numbers, found 3"),
        ("[SM(10,10)]", 2, "SM takes 1 number, found 2"),
        ("[D(1), SM(10)]", 2, "D takes 2 numbers, found 1"),
        ("[SM(10), SM(10)]", 10, "nothing may follow the softmax"),
        ("[SM(10), C(64,3,1)]", 10, "nothing may follow the softmax"),
        ("[GAP(10), C(64,3,1), SM(10)]", 11, "only a softmax may follow GAP"),
        ("[GAP(10), GAP(10), SM(10)]", 11, "only a softmax may follow GAP"),
        ("[GAP(10), SM(100)]", 11, "GAP(10) and SM(100) have different numbers of classes"),
        ("[FC(10), C(64,3,1), SM(10)]", 10, "C(64,3,1) cannot follow a fully connected layer"),
        ("[FC(10), P(2,2), SM(10)]", 10, "P(2,2) cannot follow a fully connected layer"),
        ("[C(64,3,1),\nSM(10)]", 12, "expected a layer"),
        ("[C(64,3,1)\0, SM(10)]", 11, "expected ',' or ']'"),
        ("[SM(10)]\0", 9, "expected nothing more"),
        ("'); import os; os.system('id", 1, "expected '['"),
        ("[__import__('os'), SM(10)]", 2, "expected a layer"),
        ("[{{ 7*7 }}, SM(10)]", 2, "expected a layer"),
        ("[SM({{ .Values.x }})]", 5, "expected a positive whole number"),
        ("[$(id), SM(10)]", 2, "expected a layer"),
        ("[`id`]", 2, "expected a layer"),
        ("&a [*a, *a]", 1, "expected '['"),
    ],
)
def test_errors_name_the_column_and_what_was_expected(text: str, column: int, words: str) -> None:
    with pytest.raises(NotationError) as caught:
        parse_net(text)
    assert caught.value.column == column
    assert str(caught.value).startswith(f"column {column}: ")
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "[" + "C(64,3,1), " * 1_000_000 + "SM(10)]",
        "[" * 1_000_000,
        "[" + "(" * 10_000,
        "[SM(" + "9" * 1_000_000 + ")]",
        "[SM(" + "0" * 4_000 + "10)]",
        "[" + " " * 4_000 + "!",
        "[" + "D(1,2), " * 500 + "!",
        "[C(" + "1," * 2_000 + "1), SM(10)]",
        " " * 10_000_000,
    ],
)
def test_absurd_sizes_are_refused_quickly(text: str) -> None:
    begin = time.process_time()
    for parse in (parse_net, parse_prefix):
        with pytest.raises(NotationError) as caught:
            parse(text)
        assert len(str(caught.value)) < 200
    assert time.process_time() - begin < 0.5


def test_the_longest_net_and_the_first_too_long() -> None:
    whole = "[" + "C(1,1,1), " * (MAX_LAYERS - 1) + "SM(10)]"
    assert len(parse_net(whole)) == MAX_LAYERS
    with pytest.raises(NotationError, match=f"at most {MAX_LAYERS} layers"):
        parse_net(whole.replace("[", "[C(1,1,1), "))
    padded = "[" + " " * (MAX_CHARACTERS - 8) + "SM(10)]"
    assert len(padded) == MAX_CHARACTERS
    assert parse_net(padded) == (SM(10),)
    with pytest.raises(NotationError, match=f"at most {MAX_CHARACTERS} characters, this text has {MAX_CHARACTERS + 1}"):
        parse_net(" " + padded)


@pytest.mark.parametrize("text", ["", "  ", "[]", "[ ]", "[D(1,2)]", "D(1,2)"])
def test_an_empty_prefix(text: str) -> None:
    assert parse_prefix(text) == ()


@pytest.mark.parametrize("text", ["C(64,3,1), P(2,2)", " [C(64,3,1), P(2,2)]", " C(64,3,1),P(2,2) \n"])
def test_a_prefix_with_and_without_brackets(text: str) -> None:
    assert parse_prefix(text) == (Conv(64, 3, 1), Pool(2, 2))


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("C(64,3,1", 9, "expected ',' or ')'"),
        ("C(64,3,1),", 11, "expected a layer"),
        (" C(64,3,1) P(2,2)", 12, "expected ',' or the end, found 'P(2,2)'"),
        ("C(64,3,1)]", 10, "expected ',' or the end, found ']'"),
        ("[C(64,3,1)", 11, "expected ',' or ']'"),
        ("FC(10), C(64,3,1)", 9, "cannot follow a fully connected layer"),
        ("SM(10), FC(10)", 9, "nothing may follow the softmax"),
        ("]", 1, "expected a layer"),
        ("\0", 1, "expected a layer"),
    ],
)
def test_errors_of_prefixes_count_columns_in_the_text_as_given(text: str, column: int, words: str) -> None:
    with pytest.raises(NotationError) as caught:
        parse_prefix(text)
    assert caught.value.column == column
    assert words in str(caught.value)


PIECES = st.sampled_from(
    ["[", "]", "(", ")", ",", " ", "\n", "\0", "C", "P", "FC", "GAP", "SM", "D", "1", "10", "é", "٣"]
)


def outcome(parse: Callable[[str], Net], text: str) -> tuple[Net, NotationError | None]:
    try:
        return parse(text), None
    except NotationError as error:
        return (), error


@given(st.text() | st.lists(PIECES, max_size=30).map("".join))
def test_any_text_is_a_net_or_a_notation_error(text: str) -> None:
    for parse in (parse_net, parse_prefix):
        net, error = outcome(parse, text)
        if error:
            assert 1 <= error.column <= len(text) + 1
            assert str(error).isprintable()
        else:
            assert parse_prefix(format_net(net)) == net


@given(st.lists(PIECES | st.sampled_from(["SM(10)", "C(64,3,1)", "GAP(10)", ", ", ", "]), max_size=12).map("".join))
def test_a_text_as_it_is_written_is_judged_like_any_other(inner: str) -> None:
    """Canonical texts are read in another way than those with a blank at their end: same net, same error."""
    found: list[object] = []
    for text in (f"[{inner}]", f"[{inner}] "):
        try:
            found.append(parse_net(text))
        except NotationError as error:
            found.append(str(error))
    assert found[0] == found[1]
