"""Weights of losses by class, for classes that have few images."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["BALANCES", "DEFERRAL", "Balance", "effective_weights"]

# How a training comes to rare classes. 'sampling' draws classes alike; 'deferred' draws images as they come
# and weights their losses by class at the end; 'none' does neither.
Balance: TypeAlias = Literal["sampling", "deferred", "none"]
BALANCES: tuple[Balance, ...] = ("sampling", "deferred", "none")

# Share of the updates after which losses are weighted: arXiv 1906.07413 does so from 160 of 200 epochs on.
DEFERRAL = 0.8


def effective_weights(
    labels: npt.NDArray[np.int64],
    classes: int,
    *,
    shares: npt.NDArray[np.float64] | None = None,
    beta: float = 0.9999,
) -> npt.NDArray[np.float32]:
    """Weights K by the effective number of images, mean 1 over classes (arXiv 1901.05555, equation 4).

    Args:
        labels: N.
        classes: K.
        shares: how much each image counts, N; None counts every one as 1.
        beta: nearer to 1, a class of few images weighs more.
    """
    counts = np.bincount(labels, weights=shares, minlength=classes)
    weights = (1.0 - beta) / np.maximum(1.0 - beta**counts, 1e-12)
    weights = np.where(counts > 0, weights, 0.0)
    return np.asarray(weights / weights.sum() * np.count_nonzero(counts), np.float32)
