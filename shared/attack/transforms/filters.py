"""Filters that readers of text put in front: the median of a neighbourhood, and black or white."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.attack.arrays import Array, doubles, like, namespace, scatter_add, take
from shared.attack.keys import Keys
from shared.attack.transforms.base import Params, Shape

__all__ = ["Binarise", "MedianFilter", "otsu"]


@dataclass(frozen=True)
class MedianFilter:
    """The median of each pixel's neighbourhood, edges repeated, as in PIL and OpenCV.

    The result is one of the pixels, and the gradient goes to that pixel: exact wherever no two are equal.

    Args:
        size: of the neighbourhood, in pixels, odd.
    """

    size: int = 3

    def __post_init__(self) -> None:
        _check_odd(self.size, "MedianFilter")

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """Nothing to draw."""
        return None

    def apply(self, x: Array, params: Params) -> Array:
        """The medians."""
        return self.pull_back(x, params)[0]

    def adjoint(self, gradient: Array, x: Array, params: Params) -> Array:
        """The gradient, added up at the pixels that were medians."""
        return self.pull_back(x, params)[1](gradient)

    def pull_back(self, x: Array, params: Params) -> tuple[Array, Callable[[Array], Array]]:
        """The medians, and the way back through the same choice of pixels."""
        xp, shape, chosen = namespace(x), x.shape, self._chosen(x)

        def back(gradient: Array) -> Array:
            return xp.reshape(scatter_add(xp.reshape(gradient, (1, -1)), chosen, chosen.size), shape)

        return xp.reshape(take(xp.reshape(x, (1, -1)), chosen), shape), back

    def _chosen(self, x: Array) -> npt.NDArray[np.intp]:
        """Which pixel of the whole batch each result is."""
        # On the host whatever the library: it decides places alone, and alike for all libraries.
        height, width = x.shape[2:]
        table = _neighbours(height, width, self.size)
        planes = doubles(x).reshape(-1, height * width)
        rank = np.argpartition(planes[:, table], self.size**2 // 2, axis=-1)[..., self.size**2 // 2]
        place = np.take_along_axis(table[None], rank[..., None], axis=-1)[..., 0]
        return np.asarray(place + np.arange(len(planes))[:, None] * height * width, np.intp).reshape(-1)


def _check_odd(size: int, name: str) -> None:
    if size < 1 or size % 2 == 0:
        raise ValueError(f"{name}: expected an odd size of 1 or more, got {size}")


def _neighbours(height: int, width: int, size: int) -> npt.NDArray[np.intp]:
    """The places of each pixel's neighbours in its plane, H*W x size*size."""
    reach = np.arange(size) - size // 2
    rows = np.clip(np.arange(height)[:, None] + reach, 0, height - 1)
    columns = np.clip(np.arange(width)[:, None] + reach, 0, width - 1)
    places = rows[:, None, :, None] * width + columns[None, :, None, :]
    return np.asarray(places.reshape(height * width, size * size), np.intp)


@dataclass(frozen=True)
class Binarise:
    """Black or white: 1 above a threshold, else 0.

    A step has no gradient; the way back is that of a sigmoid around the threshold, with the threshold held
    fixed: an approximation (backward pass differentiable approximation, Athalye et al., arXiv 1802.00420).

    Args:
        level: the threshold, in [0,1]; None takes Otsu's for each channel of each image.
        softness: width of the sigmoid that stands in on the way back, in levels.
    """

    level: float | None = None
    softness: float = 16.0

    def __post_init__(self) -> None:
        if self.softness <= 0 or (self.level is not None and not 0 <= self.level <= 1):
            raise ValueError(
                f"Binarise: expected a level in [0,1] or None and a softness above 0, got {self.level} and "
                f"{self.softness}"
            )

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """Nothing to draw."""
        return None

    def apply(self, x: Array, params: Params) -> Array:
        """Zeros and ones."""
        xp = namespace(x)
        return xp.astype(x > like(self._levels(x), x), x.dtype)

    def adjoint(self, gradient: Array, x: Array, params: Params) -> Array:
        """Through the sigmoid, whose slope is largest at the threshold."""
        xp = namespace(x)
        width = self.softness / 255
        # The slope of a sigmoid in terms of tanh, which cannot overflow.
        bent = xp.tanh((x - like(self._levels(x), x)) / (2 * width))
        return gradient * (1 - bent * bent) / (4 * width)

    def _levels(self, x: Array) -> npt.NDArray[np.float64]:
        if self.level is not None:
            return np.full((1, 1, 1, 1), self.level)
        planes = doubles(x).reshape(-1, x.shape[2] * x.shape[3])
        return np.array([otsu(plane) for plane in planes]).reshape(x.shape[0], x.shape[1], 1, 1)


def otsu(values: npt.NDArray[np.float64]) -> float:
    """The threshold in [0,1] between the two classes of most variance between them (Otsu, IEEE SMC 1979).

    Args:
        values: any shape, in [0,1]; 256 levels are told apart.
    """
    levels = np.clip(np.rint(255 * values), 0, 255).astype(np.intp)
    counts = np.bincount(levels.reshape(-1), minlength=256) / levels.size
    below = np.cumsum(counts)
    sums = np.cumsum(counts * np.arange(256))
    both = below * (1 - below)
    spread = (sums[-1] * below - sums) ** 2 / np.where(both > 1e-12, both, np.inf)
    return (float(np.argmax(spread)) + 0.5) / 255
