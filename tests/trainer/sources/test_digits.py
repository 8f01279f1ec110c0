"""scikit-learn's digits, stretched to eight bits."""

from __future__ import annotations

import numpy as np

from metaqnn_trainer.sources.known.digits import read


def test_every_digit_is_there_once() -> None:
    source = read(None, print)
    assert source.train.images.shape == (1438, 1, 8, 8)
    assert source.test.images.shape == (359, 1, 8, 8)
    assert source.train.images.max() == 255
    assert len(np.unique(source.train.images)) == 17
    everything = np.concatenate([source.train.images, source.test.images]).reshape(1797, -1)
    assert len(np.unique(everything, axis=0)) == 1797


def test_the_test_part_has_every_digit_in_proportion() -> None:
    source = read(None, print)
    train, test = (np.bincount(part.labels) / len(part.labels) for part in (source.train, source.test))
    assert np.abs(train - test).max() < 0.002
