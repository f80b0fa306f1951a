"""Level `sketch`: the signs of a face's gradient, pooled to four by four cells. And bits as bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from shared.levels.response import Bits

__all__ = [
    "SKETCH_BITS",
    "SKETCH_BYTES",
    "SKETCH_EPSILON",
    "SKETCH_GRID",
    "pack_bits",
    "sketch_of",
    "spread_sketch",
    "unpack_bits",
]

SKETCH_GRID = 4
SKETCH_BITS = SKETCH_GRID * SKETCH_GRID
SKETCH_BYTES = SKETCH_BITS // 8
SKETCH_EPSILON = 0.25  # of each bit, so 4 a call

_SIDE = 112
_CELL = _SIDE // SKETCH_GRID


def sketch_of(gradient: npt.NDArray[np.float32]) -> Bits:
    """The sign of each cell of 28 x 28 pixels, row after row; True where the sum is above 0.

    Args:
        gradient: float32 3 112 112.

    Returns:
        bool of shape 16.
    """
    check_face_shape(gradient, "gradient")
    pooled = gradient.sum(axis=0, dtype=np.float64)
    cells = pooled.reshape(SKETCH_GRID, _CELL, SKETCH_GRID, _CELL).mean(axis=(1, 3))
    return np.asarray(cells.ravel() > 0.0, np.bool_)


def spread_sketch(bits: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """A sketch as a direction: float32 3 112 112, +1 in the cells of True bits and -1 elsewhere."""
    if bits.shape != (SKETCH_BITS,):
        raise ValueError(f"bits have shape {bits.shape}, expected ({SKETCH_BITS},)")
    signs = np.where(bits.reshape(SKETCH_GRID, SKETCH_GRID), np.float32(1), np.float32(-1))
    plane = np.kron(signs, np.ones((_CELL, _CELL), np.float32))
    return np.ascontiguousarray(np.broadcast_to(plane, (3, _SIDE, _SIDE)), np.float32)


def pack_bits(bits: npt.NDArray[np.bool_]) -> bytes:
    """Bits of any shape in C order, eight a byte, the first one in a byte's highest place; zeros fill up."""
    if bits.dtype != np.bool_:
        raise ValueError(f"bits are {bits.dtype}, expected bool")
    return np.packbits(bits.ravel()).tobytes()


def unpack_bits(content: bytes, count: int) -> Bits:
    """What `pack_bits` packed, as bool of shape `count`.

    Raises:
        ValueError: when the bytes hold another number of bits.
    """
    if len(content) != (count + 7) // 8:
        raise ValueError(f"content has {len(content)} bytes, expected {(count + 7) // 8} for {count} bits")
    return np.unpackbits(np.frombuffer(content, np.uint8), count=count).astype(np.bool_)


def check_face_shape(array: npt.NDArray[Any], name: str) -> None:
    """Refuse what is not of shape 3 112 112.

    Raises:
        ValueError: naming the array and its shape.
    """
    if array.shape != (3, _SIDE, _SIDE):
        raise ValueError(f"{name} has shape {array.shape}, expected (3, {_SIDE}, {_SIDE})")
