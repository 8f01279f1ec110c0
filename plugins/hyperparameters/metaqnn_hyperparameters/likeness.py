"""How alike two datasets are, by what is known of them before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, fsum, log

from metaqnn_trainer.contract.dataset import DatasetInfo


def metafeatures(info: DatasetInfo) -> dict[str, float]:
    """Classes, width and channels of the images, and how many images are trained on; those that a dataset has."""
    found = {"classes": info.classes, "size": info.image_size, "channels": info.channels, "images": info.train}
    return {name: float(value) for name, value in found.items() if value is not None}


def likeness(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """From 0 to 1: exp(-d), where d is the mean of |log(one / other)| over all metafeatures. Where only one of them has
    a metafeature, they are not alike at all.
    """
    if one.keys() != other.keys():
        return 0.0
    return exp(-fsum(abs(log(one[name] / other[name])) for name in one) / len(one))
