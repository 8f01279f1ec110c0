"""Foreign text on a model card stays text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metaqnn_trainer.export.card import plain


def test_markup_is_written_out() -> None:
    assert plain("a|b <img src=x>\n# not a heading") == r"a\|b \<img src=x\> \# not a heading"


@given(st.text())
def test_one_line_without_anything_hidden(text: str) -> None:
    found = plain(text)
    assert found.isprintable()
    assert found == found.strip()
    assert "<" not in found.replace("\\<", "")
