"""Warps: from a photo's own pixels into a recogniser's frame, with jitter; and small warps in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shared.attack.arrays import Array, doubles, like, namespace
from shared.attack.keys import Keys
from shared.attack.transforms import matrices
from shared.attack.transforms.base import Params, Shape
from shared.attack.transforms.matrices import Matrix
from shared.attack.transforms.sampling import Floats, Samples

__all__ = ["Affine", "Jitter", "Warp"]


@dataclass(frozen=True)
class Jitter:
    """How far a detector and an aligner may be off; each drawn uniform in [-value, value].

    Args:
        scale: relative, 0.03 is 3 %.
        rotation: in degrees, about the frame's middle.
        shift: along each axis, as a share of the frame's side.
    """

    scale: float = 0.0
    rotation: float = 0.0
    shift: float = 0.0

    def draw(self, rng: np.random.Generator, width: int, height: int) -> Floats:
        """A map of the frame onto itself, 3 3."""
        draws = rng.uniform(-1.0, 1.0, 4)
        factor = 1.0 + self.scale * draws[0]
        angle = np.deg2rad(self.rotation * draws[1])
        a, b = factor * np.cos(angle), factor * np.sin(angle)
        x, y = (width - 1) / 2.0, (height - 1) / 2.0
        x_to, y_to = x + self.shift * width * draws[2], y + self.shift * height * draws[3]
        return np.array([[a, -b, x_to - a * x + b * y], [b, a, y_to - b * x - a * y], [0.0, 0.0, 1.0]])


class _Sampled(NamedTuple):
    # One image's map: shrink rows and columns first (None: not needed), then sample.
    rows: Matrix | None
    columns: Matrix | None
    samples: Samples


class _Sampler:
    """Applies one `_Sampled` an image; exact adjoint."""

    def out_shape(self, params: Params, shape: Shape) -> Shape:
        """The shape after these parameters."""
        return (*shape[:2], *params[0].samples.out)

    def apply(self, x: Array, params: Params) -> Array:
        """Sampled images N C S S; black where a point lies outside."""
        return namespace(x).stack([_forward(x[i, ...], one) for i, one in enumerate(params)])

    def adjoint(self, gradient: Array, x: Array, params: Params) -> Array:
        """Each gradient added up at the pixels that it was sampled from."""
        return namespace(gradient).stack([_backward(gradient[i, ...], one) for i, one in enumerate(params)])


def _forward(image: Array, one: _Sampled) -> Array:
    if one.rows is not None and one.columns is not None:
        image = like(one.rows, image) @ image @ like(one.columns.T, image)
    return one.samples.apply(image)


def _backward(gradient: Array, one: _Sampled) -> Array:
    gradient = one.samples.adjoint(gradient)
    if one.rows is not None and one.columns is not None:
        gradient = like(one.rows.T, gradient) @ gradient @ like(one.columns, gradient)
    return gradient


@dataclass(frozen=True, eq=False)
class Warp(_Sampler):
    """From each image's canvas into a frame of S x S pixels.

    Args:
        matrices: 2 3 for all images or N 2 3, canvas to frame, in OpenCV's convention: (x, y, 1) with pixel
            centres at whole numbers. Image i of the batch takes matrix i.
        size: S.
        jitter: drawn anew for each image and key.

    Bilinear; black outside. Where the canvas is more than twice as fine as the frame it is first shrunk by
    area averaging to twice the frame's fineness, as `shared.faces.frames.crop` does. Linear; exact adjoint.
    """

    matrices: npt.ArrayLike
    size: int
    jitter: Jitter = Jitter()

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """The sampled points of each image."""
        maps = _per_image(self.matrices, len(keys.ids))
        drawn = []
        for i, matrix in enumerate(maps):
            shaken = self.jitter.draw(keys.rng(i), self.size, self.size) @ matrix
            drawn.append(_sample(shaken, _fineness(matrix), (shape[2], shape[3]), (self.size, self.size)))
        return drawn


@dataclass(frozen=True)
class Affine(_Sampler):
    """A small random similarity of the image in place. Bilinear; black outside; exact adjoint.

    Args:
        jitter: how far.
    """

    jitter: Jitter = Jitter(scale=0.05, rotation=5.0, shift=0.05)

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """The sampled points of each image."""
        size = (shape[2], shape[3])
        maps = [self.jitter.draw(keys.rng(i), shape[3], shape[2]) for i in range(len(keys.ids))]
        return [_sample(matrix, 1.0, size, size) for matrix in maps]


def _per_image(values: npt.ArrayLike, count: int) -> list[Floats]:
    given = doubles(np.asarray(values))
    if given.shape not in {(2, 3), (count, 2, 3)}:
        raise ValueError(f"Warp: expected matrices of shape 2 3 or {count} 2 3, got {given.shape}")
    rows = np.broadcast_to(given, (count, 2, 3))
    return [np.vstack([row, [0.0, 0.0, 1.0]]) for row in rows]


def _fineness(matrix: Floats) -> float:
    # Canvas pixels along a frame pixel's side; from the map without jitter, so that it is the same on every
    # draw.
    area = abs(float(np.linalg.det(matrix[:2, :2])))
    if area < 1e-12:
        raise ValueError(f"Warp: the matrix {matrix[:2].tolist()} maps the canvas onto a line")
    return float(1.0 / np.sqrt(area))


def _sample(matrix: Floats, fineness: float, size: tuple[int, int], out: tuple[int, int]) -> _Sampled:
    rows = columns = None
    if fineness > 2.0:
        height, width = (max(1, round(side * 2.0 / fineness)) for side in size)
        rows, columns = matrices.area(height, size[0]), matrices.area(width, size[1])
        matrix = matrix @ _pixel_map(size[1] / width, size[0] / height)
        size = (height, width)
    back = np.linalg.inv(matrix)
    u, v = np.arange(out[1], dtype=np.float64)[None, :], np.arange(out[0], dtype=np.float64)[:, None]
    x = back[0, 0] * u + back[0, 1] * v + back[0, 2]
    y = back[1, 0] * u + back[1, 1] * v + back[1, 2]
    return _Sampled(rows, columns, Samples.bilinear(x, y, size))


def _pixel_map(step_x: float, step_y: float) -> Floats:
    # From a shrunk canvas's pixel centres back to the canvas's.
    return np.array([[step_x, 0.0, 0.5 * step_x - 0.5], [0.0, step_y, 0.5 * step_y - 0.5], [0.0, 0.0, 1.0]])
