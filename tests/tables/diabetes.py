"""scikit-learn's diabetes: ten numbers of each of 442 people, and how far the illness has come a year later."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metaqnn_trainer.errors import DatasetError
from metaqnn_trainer.sources.base import Examples, Report

PARTS: Final = {"train": 300, "validation": 71, "test": 71}


def read(path: Path | None, report: Report) -> Examples:
    """
    Raises:
        DatasetError: a path was given, and the set comes with scikit-learn.
    """
    if path is not None:
        raise DatasetError("diabetes comes with scikit-learn, it takes no source")
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    x, y = 20 * x, (y - y.mean()) / y.std()
    tensors: dict[str, NDArray[Any]] = {}
    begin = 0
    for part, number in PARTS.items():
        tensors |= {f"{part}_{name}": v[begin : begin + number].astype(np.float32) for name, v in (("x", x), ("y", y))}
        begin += number
    return Examples(tensors, {**PARTS, "source": "scikit-learn's diabetes", "facts": {"columns": x.shape[1]}})


PLUGIN = read
