"""Figures of reading and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Share", "characters", "matched", "relative_drop", "share", "whole", "within"]

# Of the standard normal distribution: 95 % lie within so many deviations.
_Z = 1.959963984540054
_DRAWS = 2000


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval, all in [0,1].

    Args:
        value: the share itself.
        low: end of the interval.
        high: end of the interval.
    """

    value: float
    low: float
    high: float


def share(right: int, total: int) -> Share:
    """A share of independent trials, interval of Wilson 1927.

    Raises:
        ValueError: without trials, or with more right ones than trials.
    """
    if total < 1 or not 0 <= right <= total:
        raise ValueError(f"{right} right of {total}, expected 0 to {total} of at least one")
    p, spread = right / total, _Z**2 / total
    middle = (p + spread / 2) / (1 + spread)
    half = _Z * float(np.sqrt(p * (1 - p) / total + spread / (4 * total))) / (1 + spread)
    # The ends are exact where all or none were right; rounding would leave 1e-17.
    low = 0.0 if right == 0 else middle - half
    return Share(p, low, 1.0 if right == total else middle + half)


def whole(texts: Sequence[str], readings: Sequence[str]) -> Share:
    """Share of texts that were read without an error."""
    return share(sum(a == b for a, b in zip(texts, readings, strict=True)), len(texts))


def matched(text: str, reading: str) -> int:
    """Characters of a text that a reading has in their place, after the best alignment.

    Of the alignments with the fewest insertions, deletions and replacements, the one that matches most.
    """
    # Cost first, then less matched: smaller is better.
    row = [(column, 0) for column in range(len(reading) + 1)]
    for index, wanted in enumerate(text, start=1):
        new = [(index, 0)]
        for column, found in enumerate(reading, start=1):
            same = wanted == found
            diagonal = (row[column - 1][0] + (not same), row[column - 1][1] - same)
            above, left = row[column], new[column - 1]
            new.append(min(diagonal, (above[0] + 1, above[1]), (left[0] + 1, left[1])))
        row = new
    return -row[-1][1]


def characters(texts: Sequence[str], readings: Sequence[str], *, seed: int = 0) -> Share:
    """Share of characters that were read right.

    Characters of one image are not independent, so the interval is a bootstrap over images.

    Args:
        texts: what images say.
        readings: what was read.
        seed: of the bootstrap.
    """
    right = np.array([matched(a, b) for a, b in zip(texts, readings, strict=True)], np.float64)
    lengths = np.array([len(text) for text in texts], np.float64)
    if not len(texts):
        raise ValueError("no texts, expected at least one")
    value = float(right.sum() / lengths.sum())
    low, high = _bootstrap(right, lengths, seed)
    return Share(value, min(low, value), max(high, value))


def _bootstrap(
    right: npt.NDArray[np.float64], lengths: npt.NDArray[np.float64], seed: int
) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    places = rng.integers(len(right), size=(_DRAWS, len(right)))
    values = right[places].sum(axis=1) / lengths[places].sum(axis=1)
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def relative_drop(clean: float, attacked: float) -> float | None:
    """By which share of the clean rate the attack lowers it; None where nothing was read without it."""
    return (clean - attacked) / clean if clean > 0 else None


def within(found: Share, tries: int) -> Share:
    """Success within so many tries on fresh images, 1 - (1 - p)^k, at the share and at the interval's ends.

    Args:
        found: of one try.
        tries: k.

    Raises:
        ValueError: for a negative number.
    """
    if tries < 0:
        raise ValueError(f"tries are {tries}, expected 0 or more")
    value, low, high = (1 - (1 - p) ** tries for p in (found.value, found.low, found.high))
    return Share(value, low, high)
