"""Budgets: how large a perturbation may be, as values that project, round and measure.

Units: a *level* is one step of 8 bits, 1/255 of the range. Images are floating N C H W in [0,1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from shared.attack.arrays import Array, check_images, clip, doubles, like, namespace
from shared.attack.ball import into_ball
from shared.attack.grid import Grid, full, shrunk_levels, to_levels

__all__ = ["L2", "Budget", "Linf", "Measure", "Projection", "measure", "psnr_to_radius"]

Projection = Callable[[Array], Array]


class Measure(NamedTuple):
    """The size of a perturbation, one float64 number an image.

    levels: largest absolute value, in levels. l2: Euclidean norm in the units of [0,1].
    psnr: in dB over the support; infinite where nothing changed.
    """

    levels: npt.NDArray[np.float64]
    l2: npt.NDArray[np.float64]
    psnr: npt.NDArray[np.float64]


class Budget(Protocol):
    """What the loop asks of a budget."""

    @property
    def weight(self) -> Array | None:
        """Per-pixel share of the cap in [0,1], broadcasting to N C H W; None is 1 everywhere."""

    @property
    def grey(self) -> bool:
        """Whether the perturbation is equal in all channels."""

    def linf_radius(self, original: Array) -> float:
        """The largest absolute value, in [0,1]: what a sign step's length is a share of."""

    def l2_radius(self, original: Array) -> Array:
        """The largest norm of each image (N): what an L2 step's length is a share of."""

    def projector(self, original: Array) -> Projection:
        """The projection for these images, with what never changes made once; may overwrite its input."""

    def project(self, delta: Array, original: Array) -> Array:
        """The perturbation nearest to `delta` that keeps the budget and the range [0,1]."""

    def quantise(self, images: Array, original: Array) -> npt.NDArray[np.uint8]:
        """Images as uint8 levels N C H W that still keep the budget."""

    def measure(self, x: Array, original: Array) -> Measure:
        """The size of `x - original`."""


@dataclass(frozen=True, eq=False)
class Linf:
    """At most so many levels in every pixel and channel.

    Args:
        levels: 8 means 8/255. May be 0.
        weight: array in [0,1] that broadcasts to N C H W: the cap is `levels * weight`.
        grey: equal in all channels, for pictures without colour.
    """

    levels: float
    weight: Array | None = None
    grey: bool = False

    def __post_init__(self) -> None:
        _check(self.levels, "levels")

    def linf_radius(self, original: Array) -> float:
        """Levels in the units of [0,1]."""
        return self.levels / 255.0

    def l2_radius(self, original: Array) -> Array:
        """The norm of the corner of the box, so that L2 steps can be taken inside it."""
        count = _support_count(original, self.weight)
        return like(self.levels / 255.0 * np.sqrt(count), original)

    def projector(self, original: Array) -> Projection:
        """Clips into the box of the cap and of [0,1]."""
        lower, upper = _box(original, self.levels, self.weight, grey=self.grey)
        return lambda delta: clip(_one_channel(delta) if self.grey else delta, lower, upper)

    def project(self, delta: Array, original: Array) -> Array:
        """Clips into the box of the cap and of [0,1]."""
        return self.projector(original)(delta + 0.0)

    def quantise(self, images: Array, original: Array) -> npt.NDArray[np.uint8]:
        """The nearest uint8 levels inside the box."""
        return to_levels(doubles(images) - doubles(original), Grid.of(original, self.levels, self.weight))

    def measure(self, x: Array, original: Array) -> Measure:
        """The size of `x - original`; PSNR over all pixels of positive weight."""
        return measure(x, original, support=self.weight)


@dataclass(frozen=True, eq=False)
class L2:
    """At most so much noise over the support (as PSNR), and at most so many levels in each element.

    Args:
        psnr_db: the radius is 10^(-psnr_db / 20) * sqrt(number of support elements), in the units of [0,1].
        cap_levels: largest change of one pixel in one channel; None is no cap.
        weight: array in [0,1] that broadcasts to N C H W: the cap is `cap_levels * weight`, and directions
            are multiplied by it. 0 keeps a pixel as it is.
        support: what PSNR is taken over (the face box): an array that broadcasts to N C H W and is positive
            there; None takes where `weight` is positive.
        grey: equal in all channels, for pictures without colour.
    """

    psnr_db: float
    cap_levels: float | None = 8.0
    weight: Array | None = None
    support: Array | None = None
    grey: bool = False

    def __post_init__(self) -> None:
        if not np.isfinite(self.psnr_db):
            raise ValueError(f"psnr_db: expected a finite number of dB, got {self.psnr_db}")
        if self.cap_levels is not None:
            _check(self.cap_levels, "cap_levels")

    @classmethod
    def of_radius(cls, radius: float, elements: int, *, cap_levels: float | None = None) -> L2:
        """The budget of this radius, in the units of [0,1], on images of so many elements (C x H x W).

        Raises:
            ValueError: for a radius or a number of elements that is not positive.
        """
        if not (0.0 < radius < np.inf and elements > 0):
            raise ValueError(f"radius: expected one above 0 over 1 element or more, got {radius}, {elements}")
        return cls(float(-20.0 * np.log10(radius / np.sqrt(elements))), cap_levels)

    def linf_radius(self, original: Array) -> float:
        """The cap, or without one the size of equal changes everywhere."""
        if self.cap_levels is not None:
            return self.cap_levels / 255.0
        return float(10.0 ** (-self.psnr_db / 20.0))

    def l2_radius(self, original: Array) -> Array:
        """The radius of each image (N)."""
        return like(self._radius(original), original)

    def projector(self, original: Array) -> Projection:
        """Onto the meeting of ball and box, exactly (see `ball.into_ball`)."""
        lower, upper = _box(original, self._cap, self.weight, grey=self.grey)
        # A hair inside, so that summing in another order cannot find the result outside.
        radius = self.l2_radius(original) * (1.0 - 1e-6)
        if self.grey:
            return lambda delta: into_ball(_one_channel(delta), lower, upper, radius)
        return lambda delta: into_ball(delta, lower, upper, radius)

    def project(self, delta: Array, original: Array) -> Array:
        """Onto the meeting of ball and box."""
        return self.projector(original)(delta + 0.0)

    def quantise(self, images: Array, original: Array) -> npt.NDArray[np.uint8]:
        """The uint8 levels inside both ball and box.

        Where rounding left the ball, the change is scaled down and rounded again, by bisection on the scale
        of each image.
        """
        delta = doubles(images) - doubles(original)
        grid = Grid.of(original, self._cap, self.weight)
        radius = self._radius(original) * 255.0
        rounded = to_levels(delta, grid)
        for i in np.flatnonzero(grid.norms(rounded) > radius):
            part = grid.pick(int(i))
            rounded[i] = shrunk_levels(delta[i : i + 1], part, float(radius[i]))[0]
        return rounded

    def measure(self, x: Array, original: Array) -> Measure:
        """The size of `x - original`; PSNR over the support."""
        return measure(x, original, support=self.weight if self.support is None else self.support)

    @property
    def _cap(self) -> float:
        return 255.0 if self.cap_levels is None else self.cap_levels

    def _radius(self, original: Array) -> npt.NDArray[np.float64]:
        count = _support_count(original, self.weight if self.support is None else self.support)
        return psnr_to_radius(self.psnr_db, count)


def psnr_to_radius(psnr_db: float, elements: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The L2 norm, in the units of [0,1], of a change with this PSNR over so many elements."""
    return np.asarray(10.0 ** (-psnr_db / 20.0) * np.sqrt(np.asarray(elements, dtype=np.float64)))


def measure(x: Array, original: Array, *, support: Array | None = None) -> Measure:
    """The size of `x - original`, image by image.

    Args:
        x: N C H W in [0,1].
        original: as x.
        support: PSNR is taken over the elements where this is positive; None is all of them. Levels and L2
            are always over everything.
    """
    check_images(original, "original")
    delta = (doubles(x) - doubles(original)).reshape(original.shape[0], -1)
    l2 = np.sqrt(np.einsum("ij,ij->i", delta, delta))
    count = _support_count(original, support)
    inside = delta
    if support is not None:
        inside = np.where(full(support, original).reshape(delta.shape) > 0, delta, 0.0)
    mean_square = np.einsum("ij,ij->i", inside, inside) / count
    with np.errstate(divide="ignore"):
        psnr = -10.0 * np.log10(mean_square)
    return Measure(np.abs(delta).max(axis=1) * 255.0, l2, psnr)


def _box(original: Array, levels: float, weight: Array | None, *, grey: bool) -> tuple[Array, Array]:
    # Where a perturbation may lie: inside the cap, and inside what is left of [0,1] on each side.
    xp = namespace(original)
    cap = xp.full_like(original, levels / 255.0)
    if weight is not None:
        cap = cap * like(np.clip(doubles(weight), 0.0, 1.0), original)
    lower, upper = xp.maximum(-cap, -original), xp.minimum(cap, 1.0 - original)
    if grey:
        zeros = xp.zeros_like(original)
        lower = zeros + xp.max(lower, axis=1, keepdims=True)
        upper = zeros + xp.min(upper, axis=1, keepdims=True)
    return lower, upper


def _one_channel(delta: Array) -> Array:
    xp = namespace(delta)
    return xp.zeros_like(delta) + xp.mean(delta, axis=1, keepdims=True)


def _check(levels: float, name: str) -> None:
    if not 0.0 <= levels <= 255.0:
        raise ValueError(f"{name}: expected 0 to 255 levels of 8 bits, got {levels}")


def _support_count(original: Array, support: Array | None) -> npt.NDArray[np.float64]:
    shape = tuple(original.shape)
    if support is None:
        return np.full(shape[0], float(np.prod(shape[1:])))
    count = np.count_nonzero(full(support, original).reshape(shape[0], -1) > 0, axis=1)
    return np.asarray(np.maximum(count, 1), dtype=np.float64)
