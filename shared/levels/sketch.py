"""Level `sketch`: sixteen pooled signs of a local gradient."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.levels.bits import pack_bits, unpack_bits

__all__ = [
    "SKETCH_BITS",
    "SKETCH_BYTES",
    "SKETCH_EPSILON",
    "SKETCH_GRID",
    "pack_bits",
    "sketch_of",
    "unpack_bits",
    "upsampled",
]

SKETCH_GRID = 4
SKETCH_BITS = SKETCH_GRID * SKETCH_GRID
SKETCH_BYTES = SKETCH_BITS // 8
# Of one bit, so 4 a call.
SKETCH_EPSILON = 0.25

_SIZE = 112
_CELL = _SIZE // SKETCH_GRID


def sketch_of(gradient: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Signs of a gradient, 3 112 112, summed over channels and pooled in 4 x 4 cells: 16 bits, by rows."""
    cells = gradient.sum(axis=0).reshape(SKETCH_GRID, _CELL, SKETCH_GRID, _CELL)
    return np.asarray(cells.mean(axis=(1, 3)).ravel() > 0, np.bool_)


def upsampled(bits: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """The sketch as a map of +1 and -1, float32 3 112 112."""
    signs = np.where(bits.reshape(SKETCH_GRID, SKETCH_GRID), 1.0, -1.0).astype(np.float32)
    plane = signs.repeat(_CELL, axis=0).repeat(_CELL, axis=1)
    return np.broadcast_to(plane, (3, _SIZE, _SIZE)).copy()
