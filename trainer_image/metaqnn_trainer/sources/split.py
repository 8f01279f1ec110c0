"""The stratified split: part of a set is held back with the proportions of its classes kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def stratified(labels: NDArray[np.int64], held_back: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices (kept, held back), each in ascending order.

    Each class contributes its share of `held_back`, by largest remainders; among equal remainders the smaller class
    number comes first. Within a class the choice is random, but always the same for the same seed.
    """
    counts = np.bincount(labels)
    shares, remainders = np.divmod(held_back * counts, len(labels))
    missing = held_back - int(shares.sum())
    shares[np.argsort(-remainders, kind="stable")[:missing]] += 1
    # RandomState is used because numpy promises that its streams never change; a dataset's digest depends on them.
    random = np.random.RandomState(seed)
    chosen = np.zeros(len(labels), dtype=bool)
    for label, share in enumerate(shares):
        chosen[random.permutation(np.flatnonzero(labels == label))[:share]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)
