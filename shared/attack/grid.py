"""The 8-bit grid: which levels a budget leaves to each pixel, and rounding onto them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shared.attack.arrays import Array, doubles

__all__ = ["Grid", "full", "shrunk_levels", "to_levels"]

# Rounding noise of float32 in units of a level: a bound of 8 levels read back as 7.9999995 is 8.
_SLACK = 1e-3
# How finely a change is scaled down to fit: in so many steps from nothing to all of it.
_SHARES = 1 << 14


@dataclass(frozen=True)
class Grid:
    """Bounds on 8-bit levels around an original that may lie off the grid; all N C H W, in levels."""

    original: npt.NDArray[np.float64]
    lower: npt.NDArray[np.float64]
    upper: npt.NDArray[np.float64]

    @classmethod
    def of(cls, original: Array, levels: float, weight: Array | None) -> Grid:
        """The grid of a cap in levels, times a weight in [0,1] that broadcasts to N C H W."""
        base = doubles(original) * 255.0
        cap = levels if weight is None else levels * np.clip(full(weight, original), 0.0, 1.0)
        lower: npt.NDArray[np.float64] = np.ceil(np.maximum(base - cap, 0.0) - _SLACK)
        upper = np.floor(np.minimum(base + cap, 255.0) + _SLACK)
        # Between two levels and with less than half a level to spend, the nearest level is the least change.
        nearest = np.rint(base)
        empty = lower > upper
        return cls(base, np.where(empty, nearest, lower), np.where(empty, nearest, upper))

    def pick(self, i: int) -> Grid:
        """That of one image."""
        return Grid(self.original[i : i + 1], self.lower[i : i + 1], self.upper[i : i + 1])

    def norms(self, rounded: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """The size of each image's change (N), in levels."""
        change = (rounded - self.original).reshape(len(rounded), -1)
        energy = np.einsum("ij,ij->i", change, change) - self._free
        return np.asarray(np.sqrt(np.maximum(energy, 0.0)))

    @cached_property
    def _free(self) -> npt.NDArray[np.float64]:
        """What rounding the originals alone costs (N): an original off the grid is not a change."""
        free = (np.rint(self.original) - self.original).reshape(len(self.original), -1)
        return np.asarray(np.einsum("ij,ij->i", free, free))


def to_levels(delta: npt.NDArray[np.float64], grid: Grid) -> npt.NDArray[np.uint8]:
    """The nearest levels that the grid allows; `delta` is in the units of [0,1]."""
    levels = delta * 255.0
    levels += grid.original
    np.rint(levels, out=levels)
    np.maximum(levels, grid.lower, out=levels)
    return np.minimum(levels, grid.upper, out=levels).astype(np.uint8)


def shrunk_levels(delta: npt.NDArray[np.float64], grid: Grid, radius: float) -> npt.NDArray[np.uint8]:
    """The levels of the largest share of one image's change whose norm is at most `radius` levels."""
    # The size of the rounded change never falls as the share grows, so a good guess and a short search around
    # it find what bisection over all shares would: rounding adds about the same energy to any of them.
    size, rounded = float(np.linalg.norm(delta)) * 255.0, float(grid.norms(to_levels(delta, grid))[0])
    spare = radius**2 - max(rounded**2 - size**2, 0.0)
    guess = int(_SHARES * np.sqrt(max(spare, 0.0)) / size) if size > 0 else 0
    low, high = 0, _SHARES
    best = to_levels(delta * 0.0, grid)
    middle, step = min(max(guess, 1), _SHARES - 1), 16
    while high - low > 1:
        levels = to_levels(delta * (middle / _SHARES), grid)
        if grid.norms(levels)[0] <= radius:
            low, best = middle, levels
            middle = min(low + step, (low + high + 1) // 2) if high == _SHARES else (low + high) // 2
        else:
            high = middle
            middle = max(high - step, (low + high) // 2) if low == 0 else (low + high) // 2
        step *= 4
    return best


def full(values: Array, original: Array) -> npt.NDArray[np.float64]:
    """Any array or number as float64 of the original's shape."""
    return np.broadcast_to(doubles(values), tuple(original.shape))
