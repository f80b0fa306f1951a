"""Parts of the loop: step rules, gradient smoothing, random starts. Each works on N C H W, image by image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from shared.attack.arrays import Array, doubles, like, namespace, per_image
from shared.attack.budgets import Budget
from shared.attack.keys import Keys
from shared.attack.oracles import unit

__all__ = ["Rule", "Smoothing", "random_start", "smoother", "stepper", "uniform"]

Rule = Literal["sign", "l2"]


@dataclass(frozen=True)
class Smoothing:
    """Gaussian smoothing of the gradient (TI, Dong et al., arXiv 1904.02884, equation 7).

    Args:
        size: of the kernel, odd; 15 in the authors' code. 1 changes nothing.
        nsig: the kernel reaches from -nsig to nsig standard deviations; 3 in the authors' code.

    The kernel sums to 1, works on each channel by itself and takes what lies outside the image as 0.
    """

    size: int = 15
    nsig: float = 3.0

    def __post_init__(self) -> None:
        if self.size < 1 or self.size % 2 == 0:
            raise ValueError(f"Smoothing: size must be odd and positive, got {self.size}")

    def taps(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """The one-dimensional kernel; the two-dimensional one is its outer product."""
        if self.size == 1:
            return np.ones(1)
        place = np.linspace(-self.nsig, self.nsig, self.size)
        taps = np.exp(-0.5 * place * place)
        return np.asarray(taps / taps.sum())

    def matrix(self, length: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """The kernel as a matrix, `length` x `length`."""
        taps, reach = self.taps(), self.size // 2
        offset = np.arange(length)[:, None] - np.arange(length)[None, :]
        return np.where(np.abs(offset) <= reach, taps[np.clip(offset + reach, 0, self.size - 1)], 0.0)


def smoother(smoothing: Smoothing | None, images: Array) -> Callable[[Array], Array] | None:
    """The smoothing as a function of the gradient, with its matrices made once."""
    if smoothing is None or smoothing.size == 1:
        return None
    rows = like(smoothing.matrix(images.shape[2]), images)
    columns = like(smoothing.matrix(images.shape[3]).T, images)
    return lambda gradient: rows @ gradient @ columns


def stepper(rule: Rule, size: float, budget: Budget, original: Array) -> Callable[[Array], Array]:
    """The step, a new array, as a function of the direction (gradient or momentum).

    Args:
        rule: 'sign' moves every element by `size` of the budget's Linf radius; 'l2' moves each image by
            `size` of the budget's L2 radius along the direction. A zero direction moves nothing.
        size: share of the radius.
        budget: its weight scales the step.
        original: for the radius.
    """
    xp = namespace(original)
    weight = None if budget.weight is None else like(doubles(budget.weight), original)
    if rule == "sign":
        length = size * budget.linf_radius(original)
        scale = length if weight is None else weight * length
        return lambda direction: _times(xp.sign(direction), scale)
    radius = per_image(size * budget.l2_radius(original))
    return lambda direction: _times(unit(direction if weight is None else direction * weight, "l2"), radius)


def _times(fresh: Array, factor: Array | float) -> Array:
    # In place: the array is ours.
    fresh *= factor
    return fresh


def uniform(keys: Keys, images: Array, radius: float) -> Array:
    """Uniform noise in [-radius, radius], drawn image by image."""
    shape = tuple(images.shape[1:])
    draws = [keys.rng(i).random(shape, dtype=np.float32) for i in range(images.shape[0])]
    return like((np.stack(draws) * 2.0 - 1.0) * radius, images)


def random_start(rule: Rule, share: float, budget: Budget, original: Array, keys: Keys) -> Array:
    """A random perturbation of `share` of the budget's radius, before projection.

    For 'sign' uniform in the box (Madry et al., arXiv 1706.06083); for 'l2' a random direction of that
    length.
    """
    if rule == "sign":
        return uniform(keys, original, share * budget.linf_radius(original))
    shape = tuple(original.shape[1:])
    draws = [keys.rng(i).standard_normal(shape, dtype=np.float32) for i in range(original.shape[0])]
    direction = unit(like(np.stack(draws), original), "l2")
    return direction * per_image(share * budget.l2_radius(original))
