"""The stratified split keeps proportions, and never changes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_trainer.sources.split import stratified


@given(st.lists(st.integers(0, 6), min_size=2, max_size=300), st.data())
def test_a_split_is_a_partition_in_proportion(labels: list[int], data: st.DataObject) -> None:
    held_back = data.draw(st.integers(0, len(labels)))
    array = np.array(labels, dtype=np.int64)
    kept, chosen = stratified(array, held_back)
    assert len(chosen) == held_back
    assert sorted([*kept, *chosen]) == list(range(len(labels)))
    assert list(kept) == sorted(kept)
    assert list(chosen) == sorted(chosen)
    shares = np.bincount(array[chosen], minlength=7)
    exact = held_back * np.bincount(array, minlength=7) / len(labels)
    assert (np.abs(shares - exact) < 1).all()


def test_the_largest_remainders_get_what_is_left_over() -> None:
    labels = np.array([0] * 5 + [1] * 3 + [2] * 2, dtype=np.int64)
    _, chosen = stratified(labels, 4)  # shares of 2.0, 1.2 and 0.8
    assert np.bincount(labels[chosen]).tolist() == [2, 1, 1]


def test_the_choice_is_the_same_on_every_machine() -> None:
    labels = np.arange(40, dtype=np.int64) % 4
    assert stratified(labels, 8)[1].tolist() == stratified(labels, 8)[1].tolist()
    assert stratified(labels, 8)[1].tolist() != stratified(labels, 8, seed=1)[1].tolist()
    assert stratified(labels, 8)[1].tolist() == [7, 8, 10, 13, 14, 21, 27, 32]
