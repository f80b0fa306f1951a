"""Putting cloaks back into a photo, at its full resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_client.region import Region

__all__ = ["Piece", "compose"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Piece:
    """A perturbation of a region's canvas, float32 1 3 H W in [-1,1], and the cap in levels of 8 bits."""

    region: Region
    delta: Floats
    levels: float


def compose(photo: Pixels, pieces: Sequence[Piece], *, grey: bool = False) -> Pixels:
    """The photo with all pieces added, rounded to 8 bits.

    Outside the pieces' windows nothing changes. Where two overlap their changes are added, and the larger cap
    holds.

    Args:
        photo: uint8 H W 3; not changed.
        pieces: one for each face.
        grey: the photo is grey and stays so.
    """
    lifted = [(piece.region, piece.region.lift(piece.delta, piece.levels / 255.0)) for piece in pieces]
    cap = np.floor(max((piece.levels for piece in pieces), default=0.0))
    result = photo.copy()
    # Window after window: the whole of a large photo in floating point would take many times its size.
    for region, _ in lifted:
        total = _sum_in(region, lifted)
        if grey:
            total[:] = total.mean(axis=2, keepdims=True)
        # Whole levels towards zero beyond the cap: rounding must not add a level to the budget.
        levels = np.clip(np.rint(total), -cap, cap)
        region.part(result)[:] = np.clip(region.part(photo) + levels, 0, 255).astype(np.uint8)
    return result


def _sum_in(region: Region, lifted: Sequence[tuple[Region, Floats]]) -> Floats:
    """All changes in a region's window, float32 h w 3; windows that overlap get the same sums there."""
    x0, y0, x1, y1 = region.window
    total = np.zeros((y1 - y0, x1 - x0, 3), np.float32)
    for other, levels in lifted:
        u0, v0, u1, v1 = other.window
        left, top, right, bottom = max(x0, u0), max(y0, v0), min(x1, u1), min(y1, v1)
        if left < right and top < bottom:
            there = levels[top - v0 : bottom - v0, left - u0 : right - u0]
            total[top - y0 : bottom - y0, left - x0 : right - x0] += there
    return total
