"""Level `sign`: the sign of every number of a local gradient. It leaks, and is labelled so."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.levels.bits import pack_bits, unpack_bits

__all__ = ["SIGN_BITS", "SIGN_BYTES", "pack_bits", "signs_of", "unpack_bits"]

SIGN_BITS = 3 * 112 * 112
SIGN_BYTES = SIGN_BITS // 8


def signs_of(gradient: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Where the gradient, 3 112 112, is above zero; the same shape."""
    return np.asarray(gradient > 0, np.bool_)
