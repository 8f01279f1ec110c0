"""Foreign text that is about to be shown, and how a process ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.errors import KNOWN, LauncherError, ObjectMissing, OrchestratorError, StoreError, exit_code, one_line
from metaqnn_trainer import errors as trainer
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import ExitCode
from metaqnn_trainer.store.errors import AddressError, Cause


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


def test_every_error_that_has_a_line_has_an_exit_code() -> None:
    assert (LauncherError("a", "b").hint, str(LauncherError("a", "b"))) == ("b", "a")
    known = [OrchestratorError("a"), StoreError("a"), ObjectMissing("a"), LauncherError("a")]
    known += [AddressError("a"), MessageError("a")]
    assert all(isinstance(error, KNOWN) for error in known)
    assert [exit_code(error) for error in known] == [1, 5, 5, 6, 2, 2]


def test_the_trainer_says_whether_to_ask_again() -> None:
    ends = {cause: trainer.exit_code(StoreError("a", cause=cause)) for cause in Cause}
    assert ends == {Cause.OUTAGE: ExitCode.STORE, Cause.FULL: 17, Cause.REFUSED: ExitCode.STORE_REFUSED}
    assert trainer.exit_code(AddressError("a")) == ExitCode.BAD_REQUEST
    assert trainer.exit_code(trainer.DatasetError("a")) == ExitCode.DATASET


def test_only_an_outage_passes_by_itself() -> None:
    assert [cause for cause in Cause if StoreError("a", cause=cause).transient] == [Cause.OUTAGE]
    assert not StoreError("a", "hint").transient
    assert not ObjectMissing("a").transient
