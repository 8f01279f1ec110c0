"""scikit-learn's handwritten digits: 1,797 images of 8x8, and nothing to download."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import LabelledImages, Report, Source
from metaqnn_trainer.sources.split import stratified

TEST_SHARE = 0.2  # the dataset comes without a test part


def read(path: Path | None, report: Report) -> Source:
    """The source.

    Raises:
        DatasetError: a path was given, although the dataset comes with scikit-learn.
    """
    if path is not None:
        raise DatasetError("digits comes with scikit-learn and takes no --source")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]  # values are 0 to 16
    everything = LabelledImages(images, bunch.target.astype(np.int64))
    train, test = stratified(everything.labels, round(TEST_SHARE * len(everything.labels)))
    names = [str(digit) for digit in range(10)]
    return Source(everything.take(train), everything.take(test), names, "scikit-learn's digits")


PLUGIN = read
