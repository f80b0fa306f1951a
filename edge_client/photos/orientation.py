"""EXIF orientations: how stored pixels turn into upright ones, and back."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["as_stored", "upright"]

T = TypeVar("T", bound=np.generic)

_INVERSE = {6: 8, 8: 6}


def upright(stored: npt.NDArray[T], orientation: int) -> npt.NDArray[T]:
    """Stored pixels as they are meant to be seen.

    Args:
        stored: shape H W or H W C.
        orientation: 1 to 8, as in EXIF 2.3, 4.6.4.

    Returns:
        a contiguous array of the same kind.
    """
    turned = stored
    if orientation in (5, 6, 7, 8):
        turned = turned.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return np.ascontiguousarray(turned)


def as_stored(seen: npt.NDArray[T], orientation: int) -> npt.NDArray[T]:
    """The inverse of `upright`."""
    return upright(seen, _INVERSE.get(orientation, orientation))
