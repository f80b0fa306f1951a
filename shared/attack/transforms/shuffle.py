"""Block shuffle and rotation (BSR, Wang et al., CVPR 2024, arXiv 2308.10299)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.attack.arrays import Array, namespace
from shared.attack.keys import Keys
from shared.attack.transforms.base import Params, Shape
from shared.attack.transforms.sampling import Floats, Samples

__all__ = ["BlockShuffle"]

Ints = npt.NDArray[np.intp]


@dataclass(frozen=True)
class BlockShuffle:
    """Cuts the image into `blocks` x `blocks` rectangles of random size, reorders and rotates them.

    Args:
        blocks: strips along each axis; 2 in the authors' code.
        rotation: largest rotation of a block about its own middle, in degrees, uniform in both directions; 24
            in the authors' code, 0 only reorders.

    Rows are cut and reordered once for the image, columns anew in each strip of rows. Corners that a rotation
    leaves empty are black. Linear; exact adjoint. One draw a gradient call; the authors average over 20 (use
    `Expectation`).
    """

    blocks: int = 2
    rotation: float = 24.0

    def __post_init__(self) -> None:
        if self.blocks < 1:
            raise ValueError(f"BlockShuffle: blocks must be 1 or more, got {self.blocks}")

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """The points each image is sampled at."""
        height, width = shape[2], shape[3]
        if self.blocks > min(height, width):
            raise ValueError(f"BlockShuffle: {self.blocks} blocks do not fit into {height} x {width} pixels")
        return [self._draw_one(keys.rng(i), height, width) for i in range(len(keys.ids))]

    def apply(self, x: Array, params: Params) -> Array:
        """The shuffled images."""
        return namespace(x).stack([samples.apply(x[i, ...]) for i, samples in enumerate(params)])

    def adjoint(self, gradient: Array, x: Array, params: Params) -> Array:
        """Each gradient back at the pixels that it came from."""
        return namespace(gradient).stack(
            [samples.adjoint(gradient[i, ...]) for i, samples in enumerate(params)]
        )

    def _draw_one(self, rng: np.random.Generator, height: int, width: int) -> Samples:
        x, y, *bounds = (np.empty((height, width)) for _ in range(6))
        below = 0
        for top, bottom in _strips(rng, height, self.blocks):
            beside = 0
            for left, right in _strips(rng, width, self.blocks):
                to = (slice(below, below + bottom - top), slice(beside, beside + right - left))
                angle = np.deg2rad(self.rotation * rng.uniform(-1.0, 1.0))
                x[to], y[to] = _turned(top, bottom, left, right, angle)
                for bound, value in zip(bounds, (top, bottom - 1, left, right - 1), strict=True):
                    bound[to] = value
                beside += right - left
            below += bottom - top
        return Samples.bilinear(x, y, (height, width), (bounds[0], bounds[1], bounds[2], bounds[3]))


def _strips(rng: np.random.Generator, length: int, count: int) -> list[tuple[int, int]]:
    # Cuts at distinct places, so that no strip is empty; then in random order.
    cuts = np.sort(rng.choice(np.arange(1, length), count - 1, replace=False))
    edges = [0, *(int(cut) for cut in cuts), length]
    strips = list(itertools.pairwise(edges))
    return [strips[i] for i in rng.permutation(count)]


def _turned(top: int, bottom: int, left: int, right: int, angle: float) -> tuple[Floats, Floats]:
    # Where each pixel of a block comes from, when the block turns about its middle.
    x, y = (
        np.arange(left, right, dtype=np.float64)[None, :],
        np.arange(top, bottom, dtype=np.float64)[:, None],
    )
    if angle == 0.0:
        return np.broadcast_to(x, (bottom - top, right - left)), np.broadcast_to(
            y, (bottom - top, right - left)
        )
    middle_x, middle_y = (left + right - 1) / 2.0, (top + bottom - 1) / 2.0
    cos, sin = np.cos(angle), np.sin(angle)
    dx, dy = x - middle_x, y - middle_y
    return middle_x + cos * dx - sin * dy, middle_y + sin * dx + cos * dy
