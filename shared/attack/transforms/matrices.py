"""Resampling along one axis as a matrix, out x in: what separable transforms are made of.

Pixel j of `out` covers [j, j + 1) * in / out of the input (half-pixel centres, as in PIL, OpenCV and torch
with `align_corners=False`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Matrix", "area", "bilinear", "box", "gaussian", "nearest"]

Matrix = npt.NDArray[np.float32]


def bilinear(out: int, length: int, *, antialias: bool = False) -> Matrix:
    """Triangle filter; with `antialias` as wide as the step when shrinking (PIL's and torch's antialias)."""
    step = length / out
    reach = max(step, 1.0) if antialias else 1.0
    centre = (np.arange(out) + 0.5) * step - 0.5
    if not antialias:
        centre = np.clip(centre, 0.0, length - 1.0)
    cells = _cells(centre - reach, int(np.ceil(2 * reach)) + 1)
    return _banded(cells, np.maximum(0.0, 1.0 - np.abs(centre[:, None] - cells) / reach), length)


def nearest(out: int, length: int) -> Matrix:
    """Pixel floor(j * in / out), the convention of TensorFlow 1 and of torch's 'nearest'."""
    matrix = np.zeros((out, length), dtype=np.float32)
    matrix[np.arange(out), np.arange(out) * length // out] = 1.0
    return matrix


def area(out: int, length: int) -> Matrix:
    """The mean over the stretch that each pixel covers (OpenCV's INTER_AREA when shrinking)."""
    step = length / out
    start = np.arange(out)[:, None] * step
    cells = _cells(start[:, 0], int(np.ceil(step)) + 1)
    share = np.minimum(start + step, cells + 1) - np.maximum(start, cells)
    return _banded(cells, np.maximum(0.0, share), length)


def box(length: int, size: int) -> Matrix:
    """The mean of `size` pixels around each, an odd number; beyond the edges the outermost is repeated."""
    reach = size // 2
    matrix = np.zeros((length, length), dtype=np.float32)
    for offset in range(-reach, reach + 1):
        np.add.at(matrix, (np.arange(length), np.clip(np.arange(length) + offset, 0, length - 1)), 1.0 / size)
    return matrix


def gaussian(length: int, sigma: float) -> Matrix:
    """Gaussian blur of `sigma` pixels, cut at 3 sigma; at the edges over what lies inside."""
    if sigma <= 0:
        return np.eye(length, dtype=np.float32)
    reach = min(int(np.ceil(3.0 * sigma)), length - 1)
    taps = np.zeros(2 * length - 1)
    taps[length - 1 - reach : length + reach] = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return _rows_to_one(taps[np.arange(length)[:, None] - np.arange(length)[None, :] + length - 1])


def _cells(first: npt.NDArray[np.floating], count: int) -> npt.NDArray[np.intp]:
    # The pixels that a row may use: `count` of them from the first one on, out x count.
    return np.asarray(np.floor(first), dtype=np.intp)[:, None] + np.arange(count)[None, :]


def _banded(cells: npt.NDArray[np.intp], weights: npt.NDArray[np.float64], length: int) -> Matrix:
    # Dense rows from a few weights each; what lies outside the axis is dropped and the rest made to sum to 1.
    inside = (cells >= 0) & (cells < length) & (weights > 0)
    row, tap = np.nonzero(inside)
    matrix = np.zeros((len(cells), length), dtype=np.float32)
    kept = np.where(inside, weights, 0.0)
    matrix[row, cells[row, tap]] = (kept / kept.sum(axis=1, keepdims=True))[row, tap]
    return matrix


def _rows_to_one(weights: npt.NDArray[np.float64]) -> Matrix:
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)
