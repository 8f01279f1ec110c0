"""The Fréchet distance of two normal distributions (Dowson and Landau 1982), as in Heusel et al. 2017."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Gaussian(NamedTuple):
    """`mean` (d), `covariance` (d, d) and its symmetric root (d, d), float64."""

    mean: Tensor
    covariance: Tensor
    root: Tensor


def gaussian(features: Tensor) -> Gaussian:
    """The normal distribution with the mean and the covariance of `features` (n, d), n > 1."""
    covariance = torch.atleast_2d(features.T.cov())
    values, vectors = torch.linalg.eigh(covariance)
    return Gaussian(features.mean(0), covariance, vectors * values.clamp(min=0).sqrt() @ vectors.T)


def distance(one: Gaussian, other: Gaussian) -> float:
    """|m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½): the squared distance, which is what is called FID. The root has the
    eigenvalues of the symmetric C2^½ C1 C2^½.
    """
    shared = torch.linalg.eigvalsh(other.root @ one.covariance @ other.root).clamp(min=0).sqrt().sum()
    apart = (one.mean - other.mean).square().sum() + one.covariance.trace() + other.covariance.trace() - 2 * shared
    return max(0.0, float(apart))
