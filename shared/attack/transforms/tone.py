"""What image editors do to tones before a program looks: stretch a range of them, take slow shades away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.attack.arrays import Array, doubles, like, namespace
from shared.attack.keys import Keys
from shared.attack.transforms.base import Params, Shape
from shared.attack.transforms.separable import Blur

__all__ = ["ToneCurve", "Unshade"]

Range = tuple[float, float]


@dataclass(frozen=True)
class ToneCurve:
    """Tones between two quantiles of the image stretched over [0,1], what lies beyond cut off ("levels").

    On the way back the quantiles are held fixed, and nothing passes where tones were cut off.

    Args:
        black: quantile that becomes 0; one draw an image, uniform in this range.
        white: quantile that becomes 1, above `black`; likewise. Close to `black` it is a threshold.
        least: the stretched range is never narrower, in levels.
    """

    black: Range = (0.0, 0.05)
    white: Range = (0.15, 0.9)
    least: float = 4.0

    def __post_init__(self) -> None:
        ends = (*self.black, *self.white)
        if list(ends) != sorted(ends) or ends[0] < 0 or ends[-1] > 1 or self.least <= 0:
            raise ValueError(
                f"ToneCurve: expected 0 <= black <= white <= 1 and least above 0, got {self.black}, "
                f"{self.white} and {self.least}"
            )

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """Two quantiles an image, N x 2."""
        low, high = zip(self.black, self.white, strict=True)
        return np.array([keys.rng(i).uniform(low, high) for i in range(len(keys.ids))]).reshape(-1, 2)

    def apply(self, x: Array, params: Params) -> Array:
        """The stretched images."""
        xp = namespace(x)
        low, width = self._range(x, params)
        return xp.clip((x - like(low, x)) / like(width, x), 0.0, 1.0)

    def adjoint(self, gradient: Array, x: Array, params: Params) -> Array:
        """Over the width of the range, inside it."""
        xp = namespace(x)
        low, width = (like(value, x) for value in self._range(x, params))
        inside = (x >= low) & (x <= low + width)
        return xp.where(inside, gradient / width, xp.zeros_like(gradient))

    def _range(self, x: Array, params: Params) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Where it begins and how wide it is, N 1 1 1 each."""
        ends = np.array(
            [np.quantile(image, drawn) for image, drawn in zip(doubles(x), params, strict=True)]
        ).reshape(-1, 2, 1, 1, 1)
        return ends[:, 0], np.maximum(ends[:, 1] - ends[:, 0], self.least / 255)


@dataclass(frozen=True)
class Unshade:
    """Slow shades taken away: the image less its Gaussian blur, about a middle grey. Affine; exact adjoint.

    Args:
        low: smallest sigma of the blur, in pixels.
        high: largest; one draw an image, uniform.
    """

    low: float = 8.0
    high: float = 20.0

    def __post_init__(self) -> None:
        if not 0.0 < self.low <= self.high:
            raise ValueError(f"Unshade: expected 0 < low <= high, got {self.low} and {self.high}")

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """A sigma an image."""
        return self._blur.draw(keys, shape)

    def apply(self, x: Array, params: Params) -> Array:
        """Images of a mean of one half; values may leave [0,1]."""
        return x - self._blur.apply(x, params) + 0.5

    def adjoint(self, gradient: Array, x: Array, params: Params) -> Array:
        """The gradient less its way back through the blur."""
        return gradient - self._blur.adjoint(gradient, x, params)

    @property
    def _blur(self) -> Blur:
        return Blur(self.low, self.high)
