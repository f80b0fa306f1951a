"""Level `sign`: the sign of a face's gradient in every pixel and channel. It tells who is in the photo."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.levels.response import Bits
from shared.levels.sketch import check_face_shape, pack_bits, unpack_bits

__all__ = ["SIGN_BYTES", "pack_signs", "signs_of", "unpack_signs"]

_SHAPE = (3, 112, 112)
SIGN_BYTES = 3 * 112 * 112 // 8


def signs_of(gradient: npt.NDArray[np.float32]) -> Bits:
    """Signs of a gradient, bool 3 112 112, True where it is above 0.

    Args:
        gradient: float32 3 112 112.
    """
    check_face_shape(gradient, "gradient")
    return np.asarray(gradient > 0.0, np.bool_)


def pack_signs(signs: npt.NDArray[np.bool_]) -> bytes:
    """A sign map, bool 3 112 112, as 4704 bytes."""
    check_face_shape(signs, "signs")
    return pack_bits(signs)


def unpack_signs(content: bytes) -> Bits:
    """What `pack_signs` packed.

    Raises:
        ValueError: when it is of another length.
    """
    return unpack_bits(content, 3 * 112 * 112).reshape(_SHAPE)
