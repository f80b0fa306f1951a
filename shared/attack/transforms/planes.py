"""Colour planes of JPEG: padding to whole blocks, halving, and the cosine transform of 8x8 blocks."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from shared.attack.arrays import Array, like, namespace, zeros
from shared.attack.transforms import matrices

__all__ = ["Halved", "Plane", "Whole", "blocks_to_plane", "plane_to_blocks"]


def _cosines() -> npt.NDArray[np.float64]:
    # The orthonormal DCT-II of 8 points, frequency by place.
    frequency, place = np.arange(8)[:, None], np.arange(8)[None, :]
    basis = 0.5 * np.cos((2 * place + 1) * frequency * np.pi / 16.0)
    basis[0] /= np.sqrt(2.0)
    return np.asarray(basis)


_DCT = _cosines()


def plane_to_blocks(plane: Array) -> Array:
    """K H W with sides of whole blocks to coefficients K H/8 8 W/8 8."""
    return _both_ways(plane, _DCT)


def blocks_to_plane(coefficients: Array) -> Array:
    """The inverse of `plane_to_blocks`, which is also its adjoint."""
    xp = namespace(coefficients)
    count, down, _, across, _ = coefficients.shape
    flat = _both_ways(xp.reshape(coefficients, (count, down * 8, across * 8)), _DCT.T)
    return xp.reshape(flat, (count, down * 8, across * 8))


def _both_ways(plane: Array, basis: npt.NDArray[np.float64]) -> Array:
    xp = namespace(plane)
    count, height, width = plane.shape
    left = like(basis, plane) @ xp.reshape(plane, (count, height // 8, 8, width))
    both = xp.reshape(left, (-1, 8)) @ like(basis.T, plane)
    return xp.reshape(both, (count, height // 8, 8, width // 8, 8))


class Plane(Protocol):
    """The way of a plane K H W into whole blocks and back; both ways linear, with their adjoints."""

    @property
    def shifted(self) -> bool:
        """Whether its levels are centred at 128."""

    @property
    def transparent(self) -> bool:
        """Whether going in and out again changes nothing."""

    def enter(self, values: Array) -> Array:
        """To sides of whole blocks."""

    def leave(self, values: Array) -> Array:
        """Back to H W."""

    def enter_adjoint(self, gradient: Array) -> Array:
        """The adjoint of `enter`."""

    def leave_adjoint(self, gradient: Array) -> Array:
        """The adjoint of `leave`."""


class Whole:
    """A plane at full size, padded by its edge to a multiple of 8."""

    transparent = True

    def __init__(self, height: int, width: int, *, shifted: bool = False) -> None:
        self.shifted = shifted
        self._size = (height, width)
        self._full = (_up(height, 8), _up(width, 8))

    def enter(self, values: Array) -> Array:
        """Repeats the last row and column."""
        xp = namespace(values)
        for axis in (1, 2):
            extra = self._full[axis - 1] - self._size[axis - 1]
            if extra:
                edge = values[:, -1:, :] if axis == 1 else values[:, :, -1:]
                values = xp.concat([values, *([edge] * extra)], axis=axis)
        return values

    def leave(self, values: Array) -> Array:
        """Cuts the padding off."""
        return values[:, : self._size[0], : self._size[1]]

    def enter_adjoint(self, gradient: Array) -> Array:
        """Adds the padding's gradient to the edge."""
        xp = namespace(gradient)
        height, width = self._size
        rows = xp.concat(
            [gradient[:, : height - 1, :], xp.sum(gradient[:, height - 1 :, :], axis=1, keepdims=True)],
            axis=1,
        )
        return xp.concat(
            [rows[:, :, : width - 1], xp.sum(rows[:, :, width - 1 :], axis=2, keepdims=True)], axis=2
        )

    def leave_adjoint(self, gradient: Array) -> Array:
        """Zero where the padding was cut off."""
        full = zeros((gradient.shape[0], *self._full), gradient)
        full[:, : self._size[0], : self._size[1]] = gradient
        return full


class Halved:
    """A plane at half size (4:2:0): 2x2 means in, libjpeg's triangle filter out."""

    transparent = False
    shifted = False

    def __init__(self, height: int, width: int) -> None:
        self._down = (_halving(height), _halving(width))
        self._up = (_doubling(height), _doubling(width))

    def enter(self, values: Array) -> Array:
        """Pads to a multiple of 16 and halves."""
        return like(self._down[0], values) @ values @ like(self._down[1].T, values)

    def leave(self, values: Array) -> Array:
        """Doubles and cuts."""
        return like(self._up[0], values) @ values @ like(self._up[1].T, values)

    def enter_adjoint(self, gradient: Array) -> Array:
        """The adjoint of `enter`."""
        return like(self._down[0].T, gradient) @ gradient @ like(self._down[1], gradient)

    def leave_adjoint(self, gradient: Array) -> Array:
        """The adjoint of `leave`."""
        return like(self._up[0].T, gradient) @ gradient @ like(self._up[1], gradient)


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _halving(length: int) -> matrices.Matrix:
    # Means of pairs, with the last pixel repeated up to a multiple of 16.
    full = _up(length, 16)
    matrix = np.zeros((full // 2, length), dtype=np.float32)
    np.add.at(matrix, (np.arange(full) // 2, np.minimum(np.arange(full), length - 1)), np.float32(0.5))
    return matrix


def _doubling(length: int) -> matrices.Matrix:
    # 3/4 of the nearer and 1/4 of the farther sample, which is bilinear at half-pixel centres.
    return matrices.bilinear(_up(length, 16), _up(length, 16) // 2)[:length]
