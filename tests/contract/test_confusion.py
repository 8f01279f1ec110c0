"""What counts of a confusion matrix say of each class."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from metaqnn_trainer.contract.confusion import MAX_CONFUSION, Confusion, OfClass, by_class


def test_each_class_and_what_it_is_taken_for() -> None:
    assert by_class([[7, 2, 1], [0, 0, 0], [3, 3, 0]]) == [
        OfClass(0, 10, 0.7, 1, 2),
        OfClass(1, 0, None, None, 0),
        OfClass(2, 6, 0.0, 0, 3),  # of two that are as frequent, the first
    ]


def test_nothing_is_mistaken_where_all_is_right() -> None:
    assert by_class([[5, 0], [0, 1]]) == [OfClass(0, 5, 1.0, None, 0), OfClass(1, 1, 1.0, None, 0)]


@pytest.mark.parametrize("counts", [[[-1]], [[1.5]], [[0] * (MAX_CONFUSION + 1)], [[0]] * (MAX_CONFUSION + 1)])
def test_counts_that_cannot_be(counts: list[list[float]]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Confusion).validate_json(json.dumps(counts))
