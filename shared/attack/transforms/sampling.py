"""Sampling an image at given points, bilinear, and its exact adjoint: what warps and shuffles are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.attack.arrays import Array, is_numpy, like, namespace, scatter_add, take

__all__ = ["Samples"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Samples:
    """A sparse linear map from an image C H W to C H' W': each output pixel is a weighted sum of a few.

    Args:
        index: flat input pixel of each tap, T P with P = H' * W'.
        weight: float32, as index.
        size: of the input, (H, W).
        out: of the output, (H', W').
    """

    index: npt.NDArray[np.intp]
    weight: npt.NDArray[np.float32]
    size: tuple[int, int]
    out: tuple[int, int]

    @classmethod
    def bilinear(
        cls,
        x: Floats,
        y: Floats,
        size: tuple[int, int],
        inside: tuple[Floats, Floats, Floats, Floats] | None = None,
    ) -> Samples:
        """Four taps a point; what lies outside counts as 0.

        Args:
            x: columns to sample at, H' W', pixel centres at whole numbers.
            y: rows, as x.
            size: of the input, (H, W).
            inside: first and last row, first and last column that a point may use, each broadcasting to H'
                W'; None is the whole image.
        """
        height, width = size
        top, bottom, left, right = inside or (0, height - 1, 0, width - 1)
        x0, y0 = np.floor(x), np.floor(y)
        part_x, part_y = x - x0, y - y0
        indices, weights = [], []
        for row, share_y in ((y0, 1.0 - part_y), (y0 + 1.0, part_y)):
            use_y = np.where((row >= top) & (row <= bottom), share_y, 0.0)
            base = np.clip(row, 0, height - 1) * width
            for column, share_x in ((x0, 1.0 - part_x), (x0 + 1.0, part_x)):
                use_x = np.where((column >= left) & (column <= right), share_x, 0.0)
                indices.append((base + np.clip(column, 0, width - 1)).ravel())
                weights.append((use_y * use_x).ravel())
        return cls(
            np.stack(indices).astype(np.intp),
            np.stack(weights).astype(np.float32),
            size,
            (x.shape[0], x.shape[1]),
        )

    def apply(self, image: Array) -> Array:
        """C H W to C H' W'."""
        channels = image.shape[0]
        xp = namespace(image)
        flat = xp.reshape(image, (channels, -1))
        if is_numpy(image):
            total = take(flat, self.index[0]) * self.weight[0]
            for index, weight in zip(self.index[1:], self.weight[1:], strict=True):
                total += take(flat, index) * weight
        else:
            total = xp.sum(take(flat, self.index) * like(self.weight, image), axis=1)
        return xp.reshape(total, (channels, *self.out))

    def adjoint(self, gradient: Array) -> Array:
        """C H' W' to C H W."""
        channels = gradient.shape[0]
        xp = namespace(gradient)
        spread = xp.reshape(gradient, (channels, 1, -1)) * like(self.weight, gradient)
        height, width = self.size
        summed = scatter_add(xp.reshape(spread, (channels, -1)), self.index.reshape(-1), height * width)
        return xp.reshape(summed, (channels, height, width))
