"""Resampling along one axis as a matrix, out x in: what separable transforms are made of.

Pixel j of `out` covers [j, j + 1) * in / out of the input (half-pixel centres, as in PIL, OpenCV and torch with
`align_corners=False`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Matrix", "area", "bilinear", "gaussian", "nearest", "place"]

Matrix = npt.NDArray[np.float32]


def bilinear(out: int, length: int, *, antialias: bool = False) -> Matrix:
    """Triangle filter; with `antialias` as wide as the step when shrinking (PIL's and torch's antialias)."""
    step = length / out
    reach = max(step, 1.0) if antialias else 1.0
    centre = (np.arange(out) + 0.5) * step - 0.5
    if not antialias:
        centre = np.clip(centre, 0.0, length - 1.0)
    weights = np.maximum(0.0, 1.0 - np.abs(centre[:, None] - np.arange(length)[None, :]) / reach)
    return _rows_to_one(weights)


def nearest(out: int, length: int) -> Matrix:
    """Pixel floor(j * in / out), the convention of TensorFlow 1 and of torch's 'nearest'."""
    matrix = np.zeros((out, length), dtype=np.float32)
    matrix[np.arange(out), np.arange(out) * length // out] = 1.0
    return matrix


def area(out: int, length: int) -> Matrix:
    """The mean over the stretch that each pixel covers (OpenCV's INTER_AREA when shrinking)."""
    edges = np.arange(out + 1) * (length / out)
    start, stop = edges[:-1, None], edges[1:, None]
    cell = np.arange(length)[None, :]
    return _rows_to_one(np.maximum(0.0, np.minimum(stop, cell + 1) - np.maximum(start, cell)))


def gaussian(length: int, sigma: float) -> Matrix:
    """Gaussian blur of `sigma` pixels, cut at 3 sigma; at the edges over what lies inside."""
    if sigma <= 0:
        return np.eye(length, dtype=np.float32)
    reach = min(int(np.ceil(3.0 * sigma)), length - 1)
    taps = np.zeros(2 * length - 1)
    taps[length - 1 - reach : length + reach] = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return _rows_to_one(taps[np.arange(length)[:, None] - np.arange(length)[None, :] + length - 1])


def place(out: int, length: int, start: int) -> Matrix:
    """Puts `length` pixels at `start` of `out`, zero elsewhere."""
    matrix = np.zeros((out, length), dtype=np.float32)
    matrix[start + np.arange(length), np.arange(length)] = 1.0
    return matrix


def _rows_to_one(weights: npt.NDArray[np.float64]) -> Matrix:
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
