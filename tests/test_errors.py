"""Foreign text that is about to be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.errors import LauncherError, ObjectMissing, OrchestratorError, StoreError, one_line


@given(st.text() | st.text("\x1b[];0123m\x07\\ab \n"), st.integers(10, 400))
def test_a_line_is_short_printable_and_the_same_when_read_again(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert line.isprintable()
    assert line == line.strip()
    assert one_line(line, limit) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("  a \t b\r\n\n c ", "a b c"),
        ("\x1b[1;31mred\x1b[0m \x1b]0;a title\x07text\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "red textlink"),
        ("nul\0 del\x7f c1\x9b bidi\u202e", "nul del c1 bidi"),
        ("GET https://me:pass@word@host/path failed", "GET https://***@host/path failed"),
        ("žluťoučký κόσμε 世界", "žluťoučký κόσμε 世界"),
    ],
)
def test_what_is_left_out(text: str, line: str) -> None:
    assert one_line(text) == line


def test_the_middle_of_a_long_line_is_left_out() -> None:
    assert one_line("a" * 50 + "b" * 50, 13) == "aaaaa...bbbbb"
    assert one_line("a" * 13, 13) == "a" * 13


def test_only_a_store_knows_what_may_pass() -> None:
    assert StoreError("a", transient=True).transient
    assert not StoreError("a", "hint").transient
    assert not ObjectMissing("a").transient
    assert (LauncherError("a", "b").hint, str(LauncherError("a", "b"))) == ("b", "a")
    codes = {kind.__name__: kind.exit_code for kind in (OrchestratorError, StoreError, ObjectMissing, LauncherError)}
    assert codes == {"OrchestratorError": 1, "StoreError": 5, "ObjectMissing": 5, "LauncherError": 6}
