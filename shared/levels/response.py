"""Randomised response: what is sent is sometimes false, so that one answer proves little.

Warner 1965; for one of K values as in arXiv 1602.07387 (k-ary randomised response). Epsilon is that of local
differential privacy: no value makes any answer more than e^epsilon times as likely as another value does.
Repeated answers about one photo add up, so callers remember answers or keep a budget.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["fresh_generator", "keep_probability", "randomise_bits", "randomise_choice"]

Bits = npt.NDArray[np.bool_]


def fresh_generator() -> np.random.Generator:
    """A generator seeded by the operating system: no two calls share what they draw."""
    return np.random.default_rng()


def keep_probability(count: int, epsilon: float) -> float:
    """How often one of `count` values is sent as it is; `epsilon` may be infinite.

    Raises:
        ValueError: for fewer than two values or an epsilon below 0.
    """
    if count < 2 or not epsilon >= 0:
        raise ValueError(f"count {count}, epsilon {epsilon}: expected 2 or more values and 0 or more")
    return 1.0 / (1.0 + (count - 1) * math.exp(-epsilon))


def randomise_choice(value: int, count: int, *, epsilon: float, rng: np.random.Generator) -> int:
    """One of 0 to count - 1: the value itself, or any of the others alike.

    Raises:
        ValueError: for a value outside, or bad settings.
    """
    if not 0 <= value < count:
        raise ValueError(f"value is {value}, expected 0 to {count - 1}")
    if rng.random() < keep_probability(count, epsilon):
        return value
    return (value + int(rng.integers(1, count))) % count


def randomise_bits(bits: Bits, *, epsilon: float, rng: np.random.Generator) -> Bits:
    """Each bit, of any shape, kept or flipped by itself; `epsilon` is that of one bit."""
    kept = rng.random(bits.shape) < keep_probability(2, epsilon)
    return np.asarray(np.where(kept, bits, ~bits), np.bool_)
