"""What a verdict says of each class."""

from __future__ import annotations

import json
from typing import Any

import pytest

from metaqnn_orch.reporting.verdict import ClassVerdict, Verdict
from metaqnn_trainer.contract.codec import MAX_MESSAGE_BYTES, decode, encode
from metaqnn_trainer.contract.confusion import MAX_CONFUSION
from metaqnn_trainer.contract.errors import MessageError

OLD: dict[str, Any] = {
    "at": "2026-01-01T00:00:00Z",
    "dataset": {"name": "pets", "digest": "0" * 16},
    "finalists": [{"net": "[SM(2)]", "run": "a", "trial": "0" * 12, "params": 1, "rate_factor": 1.0, "reward": 0.5}],
    "ensemble": 1,
    "test_images": 10,
    "test_accuracy": 0.7,
    "ensemble_val_accuracy": 0.7,
    "ensemble_test_accuracy": 0.8,
}


def verdict(**more: Any) -> Verdict:
    return decode(Verdict, json.dumps({**OLD, **more}), "finals.json")


def test_each_class_by_its_name() -> None:
    found = verdict(class_names=["cat", "dog\n"], confusion=[[6, 0], [3, 1]], ensemble_confusion=[[6, 0], [2, 2]])
    assert found.classes() == [
        ClassVerdict("cat", 6, 1.0, 1.0, None, 0),
        ClassVerdict("dog", 4, 0.25, 0.5, "cat", 3),
    ]


def test_classes_without_names_have_their_numbers() -> None:
    assert [each.name for each in verdict(confusion=[[1, 0], [0, 1]]).classes()] == ["0", "1"]


def test_a_verdict_of_an_earlier_release_says_nothing_of_classes() -> None:
    assert verdict().classes() == []


def test_counts_that_are_no_square_are_refused() -> None:
    with pytest.raises(MessageError, match="no square"):
        verdict(confusion=[[1, 0], [0]])


def test_the_largest_counts_fit_into_a_message() -> None:
    counts = [[10**9] * MAX_CONFUSION] * MAX_CONFUSION
    names = ["n" * 255] * MAX_CONFUSION
    found = verdict(class_names=names, confusion=counts, ensemble_confusion=counts)
    data = encode(found)
    assert len(data) < MAX_MESSAGE_BYTES
    assert decode(Verdict, data, "finals.json") == found
