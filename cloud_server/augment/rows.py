"""Arrays as datasets: images in rows or in four dimensions, and tables, as pictures and back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cloud_server.augment.types import Labels, Picture

__all__ = ["Rows", "Scale", "Unencoded", "scale_of"]

Values = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Scale:
    """How the values of rows become levels of 8 bits: level = (value - low) / span * 255, rounded.

    Args:
        low: what level 0 stands for; a number, or one a column.
        span: what 255 levels stand for; columns of 0 keep their one value.
        shape: of one row as a picture, H W C.
        dtype: of the values.
    """

    low: Values
    span: Values
    shape: tuple[int, int, int]
    dtype: npt.DTypeLike

    def picture(self, row: Values) -> Picture:
        """One row, of any shape, as H W C."""
        if row.dtype == np.uint8:
            return np.ascontiguousarray(row.reshape(self.shape))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(self.span > 0, (row.astype(np.float64) - self.low) / self.span, 0.0)
        return np.asarray(np.rint(share * 255.0), dtype=np.uint8).reshape(self.shape)

    def values(self, picture: Picture, shape: Sequence[int]) -> Values:
        """The picture as a row of that shape."""
        flat = picture.reshape(tuple(shape))
        if np.dtype(self.dtype) == np.uint8:
            return flat
        values = self.low + flat.astype(np.float64) / 255.0 * self.span
        return (np.rint(values) if np.issubdtype(self.dtype, np.integer) else values).astype(self.dtype)


def scale_of(x: Values, image_shape: tuple[int, ...] | None) -> Scale:
    """The scale that the module's rule gives for an array.

    Images (four dimensions, or an `image_shape`): uint8 are levels; floating values lie in [0,1]. A table
    (two dimensions, no `image_shape`): each column between its least and its greatest value, a row being a
    picture of one line.

    Raises:
        ValueError: for any other type or range of images, and for shapes that do not agree.
    """
    if x.ndim == 2 and image_shape is None:
        low, high = x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64)
        if x.dtype == np.uint8:
            low, high = np.zeros(x.shape[1]), np.full(x.shape[1], 255.0)
        return Scale(low, high - low, (1, x.shape[1], 1), x.dtype)
    shape = _picture_shape(x, image_shape)
    if x.dtype == np.uint8:
        return Scale(np.zeros(1), np.full(1, 255.0), shape, x.dtype)
    if not np.issubdtype(x.dtype, np.floating):
        raise ValueError(
            f"X: images must be uint8 (levels 0 to 255) or floating (in [0,1]), got {x.dtype}; "
            "convert them, e.g. X.astype('uint8')"
        )
    least, most = float(x.min()), float(x.max())
    if not (least >= 0.0 and most <= 1.0):
        raise ValueError(
            f"X: floating images must lie in [0,1], got {least:g} to {most:g}; divide levels by 255, "
            "take back a normalisation, or give uint8"
        )
    return Scale(np.zeros(1), np.ones(1), shape, x.dtype)


def _picture_shape(x: Values, image_shape: tuple[int, ...] | None) -> tuple[int, int, int]:
    if image_shape is None:
        return (x.shape[1], x.shape[2], x.shape[3])
    height, width, *rest = (*image_shape, 1)[:3]
    shape = (int(height), int(width), int(rest[0]))
    found = x.shape[1:] if x.ndim == 4 else (x.shape[1],)
    expected = shape if x.ndim == 4 else (shape[0] * shape[1] * shape[2],)
    if tuple(found) != expected:
        raise ValueError(f"image_shape {tuple(image_shape)}: rows must be {expected}, got {tuple(found)}")
    return shape


@dataclass(frozen=True, eq=False)
class Rows:
    """A `Source` over an array; pictures are made when they are read."""

    x: Values
    scale: Scale
    labels: Labels
    classes: tuple[str, ...]
    groups: Labels | None = None
    group_names: tuple[str, ...] = ()
    split: str = ""

    def __len__(self) -> int:
        return len(self.x)

    def name(self, index: int) -> str:
        """The row's number."""
        return f"row-{index}"

    def read(self, index: int) -> Picture:
        """The row as H W C."""
        return self.scale.picture(self.x[index])

    def digest(self, index: int) -> str:
        """SHA-256 of the row's bytes."""
        return hashlib.sha256(np.ascontiguousarray(self.x[index]).tobytes()).hexdigest()


@dataclass(frozen=True)
class Unencoded:
    """A `Codec` for what is not written to a file: the levels as they are."""

    shape: tuple[int, int, int]
    name: str = "none"
    suffix: str = ""

    def encode(self, picture: Picture) -> bytes:
        """The levels, row by row."""
        return picture.tobytes()

    def decode(self, data: bytes) -> Picture:
        """The same picture again."""
        return np.frombuffer(data, dtype=np.uint8).reshape(self.shape)
