"""Randomised response: the noise between what a photo says and what leaves the device.

`epsilon` is that of local differential privacy: whatever the truth, an answer is at most e^epsilon times as
likely as under another truth. 0 tells nothing; infinity is the truth itself, for measurements without noise.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Bits", "fresh_generator", "randomise_bits", "randomise_choice", "truth_rate"]

Bits = npt.NDArray[np.bool_]


def fresh_generator() -> np.random.Generator:
    """A generator seeded by the operating system; take a new one for each call to a cloud."""
    return np.random.default_rng()


def truth_rate(count: int, epsilon: float) -> float:
    """How often k-ary randomised response over `count` values tells the truth.

    Source:
        Kairouz, Oh and Viswanath, arXiv 1407.1338: e^eps / (e^eps + k - 1). A bit is the case of two values,
        Warner 1965.
    """
    if count < 1:
        raise ValueError(f"count is {count}, expected 1 or more")
    if not epsilon >= 0.0:
        raise ValueError(f"epsilon is {epsilon}, expected 0 or more")
    return 1.0 / (1.0 + (count - 1) * math.exp(-epsilon))


def randomise_choice(value: int, count: int, *, epsilon: float, rng: np.random.Generator) -> int:
    """One of `count` values: the true one at `truth_rate`, any other one equally often.

    Args:
        value: the truth, 0 to count - 1.
        count: how many there are.
        epsilon: of the answer.
        rng: `fresh_generator()` where it protects anyone.
    """
    if not 0 <= value < count:
        raise ValueError(f"value is {value}, expected 0 to {count - 1}")
    truth, other = float(rng.random()), int(rng.integers(max(count - 1, 1)))
    if truth < truth_rate(count, epsilon):
        return value
    return other if other < value else other + 1


def randomise_bits(bits: npt.NDArray[Any], *, epsilon: float, rng: np.random.Generator) -> Bits:
    """Bits of any shape, each kept at e^eps / (1 + e^eps) and turned over otherwise.

    Args:
        bits: the truth, of type bool.
        epsilon: of each bit; the answer as a whole has epsilon times the number of bits.
        rng: `fresh_generator()` where it protects anyone.
    """
    if bits.dtype != np.bool_:
        raise ValueError(f"bits are {bits.dtype}, expected bool")
    turned = rng.random(bits.shape) >= truth_rate(2, epsilon)
    return np.asarray(bits ^ turned, np.bool_)
