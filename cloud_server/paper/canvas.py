"""Soft masks and pigments on a part of a photo, drawn finer than its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["Canvas"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

# Masks are drawn at so many steps a pixel and averaged, and with 1/16 pixel in the drawing itself.
_FINE = 4
_SHIFT = 4
_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True, eq=False)
class Canvas:
    """The part of a photo around a face, as floats that the methods change.

    pixels: H W 3, levels. left, top: where it lies in the photo.
    """

    pixels: Floats
    left: int
    top: int

    @classmethod
    def around(cls, photo: Pixels, points: Floats) -> Canvas | None:
        """A canvas over the points and an eighth of their extent more; None when it misses the photo."""
        low, high = points.min(axis=0), points.max(axis=0)
        margin = 0.125 * float((high - low).max()) + 2.0
        x0, y0 = (int(v) for v in np.maximum(np.floor(low - margin), 0))
        x1, y1 = (int(v) for v in np.minimum(np.ceil(high + margin) + 1, (photo.shape[1], photo.shape[0])))
        if x0 >= x1 or y0 >= y1:
            return None
        return cls(photo[y0:y1, x0:x1].astype(np.float64), x0, y0)

    def onto(self, photo: Pixels) -> Pixels:
        """A copy of the photo with this canvas in its place, rounded to levels."""
        result = photo.copy()
        height, width = self.pixels.shape[:2]
        levels = np.clip(np.rint(self.pixels), 0, 255).astype(np.uint8)
        result[self.top : self.top + height, self.left : self.left + width] = levels
        return result

    def polygon(self, corners: npt.ArrayLike) -> Floats:
        """Cover of each pixel by the polygon, H W in [0,1]; corners in photo pixels, n 2."""
        fine = self._empty()
        cv2.fillPoly(fine, [self._fine(corners)], 255, lineType=cv2.LINE_AA, shift=_SHIFT)
        return self._coarse(fine)

    def line(self, points: npt.ArrayLike | Sequence[Floats], thickness: float) -> Floats:
        """Cover by a line through the points, as thick as so many photo pixels (a quarter at least)."""
        fine = self._empty()
        thick = max(1, round(thickness * _FINE))
        cv2.polylines(
            fine,
            [self._fine(points)],
            isClosed=False,
            color=255,
            thickness=thick,
            lineType=cv2.LINE_AA,
            shift=_SHIFT,
        )
        return self._coarse(fine)

    def oval(self, middle: Floats, along: Floats, long: float, short: float) -> Floats:
        """A soft oval, H W: 1 in the middle and 0 from its rim on; radii in photo pixels."""
        rows, columns = np.mgrid[0 : self.pixels.shape[0], 0 : self.pixels.shape[1]].astype(np.float64)
        x, y = columns + self.left - middle[0], rows + self.top - middle[1]
        cosine, sine = np.asarray(along) / max(float(np.hypot(*along)), 1e-6)
        far = np.hypot((x * cosine + y * sine) / max(long, 1e-6), (y * cosine - x * sine) / max(short, 1e-6))
        return np.asarray(np.square(np.cos(np.minimum(far, 1.0) * np.pi / 2)))

    def soft(self, mask: Floats, deviation: float) -> Floats:
        """The mask blurred; it reaches three deviations beyond its rim and no farther."""
        if deviation < 0.1:
            return mask
        reach = max(1, int(np.ceil(3 * deviation)))
        return np.asarray(cv2.GaussianBlur(mask, (2 * reach + 1, 2 * reach + 1), deviation))

    def tint(self, mask: Floats, colour: tuple[int, int, int], *, relief: float) -> None:
        """Lay a pigment over the pixels.

        Args:
            mask: H W in [0,1], how much of it.
            colour: RGB levels.
            relief: how much of the light and shade of what lies below is kept, in [0,1].
        """
        if not mask.any():
            return
        shade = self.pixels @ _LUMA
        mean = max(float(np.average(shade, weights=mask)), 1.0)
        # Dark places get a darker pigment and highlights stay: the colour times the relative brightness.
        light = 1.0 + relief * (shade / mean - 1.0)
        pigment = np.clip(np.asarray(colour, np.float64) * light[:, :, None], 0, 255)
        self.pixels[:] = self.pixels + mask[:, :, None] * (pigment - self.pixels)

    def _empty(self) -> Pixels:
        return np.zeros((self.pixels.shape[0] * _FINE, self.pixels.shape[1] * _FINE), np.uint8)

    def _fine(self, points: npt.ArrayLike | Sequence[Floats]) -> npt.NDArray[np.int32]:
        place = (np.asarray(points, np.float64) - (self.left, self.top) + 0.5) * _FINE - 0.5
        return np.rint(place * (1 << _SHIFT)).astype(np.int32)

    def _coarse(self, fine: Pixels) -> Floats:
        height, width = self.pixels.shape[:2]
        return np.asarray(fine.reshape(height, _FINE, width, _FINE).mean(axis=(1, 3)) / 255.0)
