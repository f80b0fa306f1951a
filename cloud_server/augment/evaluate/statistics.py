"""Paired intervals of differences between arms, and what they allow to say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

__all__ = ["Interval", "Verdict", "paired_difference", "verdict"]

Truth = npt.NDArray[np.bool_]
_DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """In percentage points."""
        return f"{100 * self.value:+.1f} [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"


class Verdict(StrEnum):
    """What a recipe was worth beside the best control."""

    HELPED = "helped"  # rare classes better beyond doubt, the others not worse beyond doubt
    TRADED = "traded"  # rare classes better, the others worse
    ELSEWHERE = "helped elsewhere"  # the others better beyond doubt, rare classes not worse beyond doubt
    NOT_HELPED = "did not help"  # no certain gain on either
    HARMED = "harmed"  # rare classes worse beyond doubt


def paired_difference(
    ours: Truth, theirs: Truth, strata: npt.NDArray[np.int64], *, seed: int = 0, draws: int = _DRAWS
) -> Interval:
    """The difference of two accuracies: seeds are drawn again, and test images within their strata.

    Args:
        ours: whether each answer is right, S N, for S seeds and N test images.
        theirs: the same seeds and images.
        strata: N, the images' classes.
        seed: of the bootstrap.
        draws: how many times.

    Raises:
        ValueError: when the shapes differ.
    """
    if ours.shape != theirs.shape or ours.shape[1:] != strata.shape or not ours.size:
        raise ValueError(f"paired: shapes {ours.shape}, {theirs.shape} and {strata.shape} do not agree")
    rng = np.random.default_rng([seed, 21])
    difference = ours.astype(np.float64) - theirs
    means = np.zeros((draws, len(difference)))
    for stratum in np.unique(strata):
        members = difference[:, strata == stratum]
        count = members.shape[1]
        # How often each image was drawn says as much as which were drawn.
        times = rng.multinomial(count, np.full(count, 1.0 / count), size=draws)
        means += times @ members.T / difference.shape[1]
    seeds = rng.integers(0, len(difference), (draws, len(difference)))
    found = np.take_along_axis(means, seeds, axis=1).mean(axis=1)
    low, high = np.quantile(found, [0.025, 0.975])
    return Interval(float(difference.mean()), float(low), float(high))


def verdict(rare: Interval, frequent: Interval) -> Verdict:
    """What differences to the best control say.

    Args:
        rare: of the accuracy on the rare classes.
        frequent: of that on the others.
    """
    if rare.high < 0.0:
        return Verdict.HARMED
    if rare.low <= 0.0:
        return Verdict.ELSEWHERE if frequent.low > 0.0 else Verdict.NOT_HELPED
    return Verdict.TRADED if frequent.high < 0.0 else Verdict.HELPED
