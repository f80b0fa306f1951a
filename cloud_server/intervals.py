"""The interval of a share, for every report."""

from __future__ import annotations

import math

__all__ = ["wilson"]

_Z = 1.959963984540054


def wilson(hits: float, total: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927).

    Args:
        hits: how many of `total`; a share of clusters may be no whole number.
        total: how many there are.

    Raises:
        ValueError: when `total` is not positive or `hits` is not between 0 and it.
    """
    if total < 1 or not 0 <= hits <= total:
        raise ValueError(f"expected 0 <= hits <= total and total >= 1, got {hits} of {total}")
    share, square = hits / total, _Z * _Z
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = _Z / (1 + square / total) * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    # Rounding may not push an end past the share itself at 0 and 1.
    return min(max(middle - half, 0.0), share), max(min(middle + half, 1.0), share)
