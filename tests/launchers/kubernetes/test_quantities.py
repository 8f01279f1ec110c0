"""Amounts, against the `kubernetes` client's reading of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils.quantity import parse_quantity

from metaqnn_orch.launchers.kubernetes.quantities import QUANTITY, amount, contradiction


@given(st.from_regex(QUANTITY, fullmatch=True))
def test_what_is_an_amount_is_read_as_the_client_reads_it(text: str) -> None:
    assert amount(text) == parse_quantity(text)


@pytest.mark.parametrize("text", ["9" * 30, f"{10**29 + 1}", f"{'9' * 30}E"])
def test_one_with_more_digits_than_decimals_have_is_an_amount_too(text: str) -> None:
    assert amount(text) == parse_quantity(text)
    assert contradiction({}, {"nvidia.com/gpu": text}) == ""


@pytest.mark.parametrize("text", ["", "lots", "-1", "1 Gi", "1gi", "1KI", "1e", "4Gi\n", "1e999"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        amount(text)
