"""Transforms that are one matrix along the rows and one along the columns: resize, pad (DI), blur."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from shared.attack.arrays import Array, like, namespace
from shared.attack.keys import Keys
from shared.attack.transforms import matrices
from shared.attack.transforms.base import Params, Shape
from shared.attack.transforms.matrices import Matrix

__all__ = ["Blur", "Geometry", "MeanFilter", "Pad", "PadConvention", "Resize", "Separable"]


class Axes(NamedTuple):
    """One image's matrices: rows H' H, columns W' W, and the value of what they leave uncovered."""

    rows: Matrix
    columns: Matrix
    fill: float = 0.0


class Separable:
    """Applies one `Axes` an image; exact adjoint. None in place of an `Axes` leaves the image as it is."""

    def out_shape(self, params: Params, shape: Shape) -> Shape:
        """The shape after these parameters."""
        axes = params[0] if params else None
        return shape if axes is None else (*shape[:2], axes.rows.shape[0], axes.columns.shape[0])

    def apply(self, x: Array, params: Params) -> Array:
        """Rows @ x @ columns^T of each image, and the fill where nothing of it lies."""
        return namespace(x).stack([_forward(x[i, ...], axes) for i, axes in enumerate(params)])

    def adjoint(self, gradient: Array, x: Array, params: Params) -> Array:
        """rows^T @ gradient @ columns of each image."""
        xp = namespace(gradient)
        return xp.stack([_backward(gradient[i, ...], axes) for i, axes in enumerate(params)])


def _forward(image: Array, axes: Axes | None) -> Array:
    if axes is None:
        return image
    changed = like(axes.rows, image) @ image @ like(axes.columns.T, image)
    if axes.fill:
        cover = axes.rows.sum(axis=1)[:, None] * axes.columns.sum(axis=1)[None, :]
        changed += like(axes.fill * (1.0 - cover), image)
    return changed


def _backward(gradient: Array, axes: Axes | None) -> Array:
    if axes is None:
        return gradient
    return like(axes.rows.T, gradient) @ gradient @ like(axes.columns, gradient)


@dataclass(frozen=True)
class Resize(Separable):
    """Down (or up) by a random factor and back to the same size, as platforms do to photos.

    Args:
        low: smallest factor.
        high: largest factor; one draw an image, uniform, the same for both axes.

    Bilinear, with antialiasing when shrinking. Linear; exact adjoint.
    """

    low: float = 0.6
    high: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.low <= self.high:
            raise ValueError(f"Resize: expected 0 < low <= high, got {self.low} and {self.high}")

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """A factor an image."""
        factors = [keys.rng(i).uniform(self.low, self.high) for i in range(len(keys.ids))]
        return [_both(partial(_there_and_back, factor=f), shape) for f in factors]


def _both(make: Callable[[int], Matrix], shape: Shape) -> Axes:
    rows = make(shape[2])
    return Axes(rows, rows if shape[3] == shape[2] else make(shape[3]))


def _there_and_back(length: int, factor: float) -> Matrix:
    middle = max(1, round(length * factor))
    there = matrices.bilinear(middle, length, antialias=True)
    return matrices.bilinear(length, middle, antialias=True) @ there


@dataclass(frozen=True)
class Blur(Separable):
    """Gaussian blur of a random width.

    Args:
        low: smallest sigma, in pixels.
        high: largest sigma; one draw an image, uniform.

    Cut at 3 sigma; at the edges the mean is over what lies inside. Linear; exact adjoint.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.low <= self.high:
            raise ValueError(f"Blur: expected 0 <= low <= high, got {self.low} and {self.high}")

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """A sigma an image."""
        sigmas = [keys.rng(i).uniform(self.low, self.high) for i in range(len(keys.ids))]
        return [_both(partial(matrices.gaussian, sigma=s), shape) for s in sigmas]


@dataclass(frozen=True)
class MeanFilter(Separable):
    """The mean of each pixel's square neighbourhood, edges repeated (box blur). Linear; exact adjoint.

    Args:
        size: of the neighbourhood, in pixels, odd.
    """

    size: int = 3

    def __post_init__(self) -> None:
        if self.size < 1 or self.size % 2 == 0:
            raise ValueError(f"MeanFilter: expected an odd size of 1 or more, got {self.size}")

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """The same matrices for each image; nothing is random."""
        return [_both(partial(matrices.box, size=self.size), shape)] * len(keys.ids)


PadConvention = Literal["official", "transferattack", "torchattacks"]


class Geometry(NamedTuple):
    """Where DI puts an image: `size` x `size` with its corner at (`top`, `left`) of the padded square."""

    size: int
    top: int
    left: int


@dataclass(frozen=True)
class Pad(Separable):
    """Input diversity: random resize and random zero padding (DI, Xie et al., arXiv 1803.06978, section 3.3).

    Args:
        convention: the three published readings, for an image of S x S pixels.
            'official': nearest neighbour to a size in [S, F), padded to F = rate * S (330 for 299 in the
            authors' code, whose images lie in [-1,1]: their padding of 0 is 0.5 here). The result is F x F,
            so the oracle must take both sizes; one coin decides for the whole batch, as in their code.
            'transferattack': bilinear to a size in [S, F), F = int(rate * S), black padding to F, bilinear
                back to S.
            'torchattacks': bilinear to a size in [int(rate * S), S) with rate < 1, black padding back to S.
        p: probability of changing an image.
        rate: None takes the convention's own: 330/299, 1.1, 0.9.

    Sizes and corners are drawn from half-open ranges, as in all three. Images must be square. Linear but for
    the padding's constant; exact adjoint.
    """

    convention: PadConvention = "transferattack"
    p: float = 0.5
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.convention not in _RATES:
            raise ValueError(f"Pad: convention must be one of {', '.join(_RATES)}, got {self.convention!r}")
        if (self.convention == "torchattacks") != (self._rate < 1.0):
            raise ValueError(
                f"Pad: 'torchattacks' shrinks (rate < 1), the others enlarge; got rate {self._rate}"
            )

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """A coin and a geometry an image."""
        side = _square(shape)
        return [self._draw_one(keys, i, side) for i in range(len(keys.ids))]

    def _draw_one(self, keys: Keys, i: int, side: int) -> Axes | None:
        low, high = self.span(side)
        rng = keys.rng(i)
        coin = (keys.shared() if self.convention == "official" else rng).random()
        if coin >= self.p or low == high:
            return None
        size = int(rng.integers(low, high))
        return self.axes(side, Geometry(size, int(rng.integers(high - size)), int(rng.integers(high - size))))

    def span(self, side: int) -> tuple[int, int]:
        """Smallest size, and the padded size, which is one more than the largest."""
        if self.convention == "torchattacks":
            return int(side * self._rate), side
        # The authors' 330 for 299 is not int(rate * side) in floating point, hence the hair.
        return side, int(side * self._rate + 1e-9)

    def axes(self, side: int, geometry: Geometry) -> Axes:
        """The matrices of a geometry, free of chance.

        Args:
            side: of the square image, in pixels.
            geometry: where to put it.
        """
        full = self.span(side)[1]
        rows = self._axis(side, full, geometry.size, geometry.top)
        columns = self._axis(side, full, geometry.size, geometry.left)
        return Axes(rows, columns, 0.5 if self.convention == "official" else 0.0)

    def _axis(self, side: int, full: int, size: int, start: int) -> Matrix:
        resample = matrices.nearest if self.convention == "official" else matrices.bilinear
        placed = np.zeros((full, side), dtype=np.float32)
        placed[start : start + size] = resample(size, side)
        return matrices.bilinear(side, full) @ placed if self.convention == "transferattack" else placed

    @property
    def _rate(self) -> float:
        return _RATES[self.convention] if self.rate is None else self.rate


_RATES: dict[PadConvention, float] = {"official": 330 / 299, "transferattack": 1.1, "torchattacks": 0.9}


def _square(shape: Shape) -> int:
    if shape[2] != shape[3]:
        raise ValueError(f"Pad: expected square images, got {shape[2]} x {shape[3]}")
    return int(shape[2])
