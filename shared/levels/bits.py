"""Bits as bytes: the first bit is the highest of the first byte."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["pack_bits", "unpack_bits"]


def pack_bits(bits: npt.NDArray[np.bool_]) -> bytes:
    """Bits of any shape in their order, the last byte filled up with zeros."""
    return np.packbits(bits.ravel()).tobytes()


def unpack_bits(content: bytes, count: int) -> npt.NDArray[np.bool_]:
    """So many bits.

    Raises:
        ValueError: when the bytes are not exactly as many as that takes.
    """
    if len(content) != (count + 7) // 8:
        raise ValueError(f"{count} bits take {(count + 7) // 8} bytes, got {len(content)}")
    return np.unpackbits(np.frombuffer(content, np.uint8), count=count).astype(np.bool_)
