"""A random start and a random frame, drawn anew for each call, between a face and what is said of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["START_LEVELS", "RandomFrame", "random_start"]

Floats = npt.NDArray[np.float32]

START_LEVELS = 8.0
_SIDE = 112
_SCALE, _ROTATION, _SHIFT = 0.05, 3.0, 3.0  # deviations of log scale, of degrees, of pixels


def random_start(face: Floats, rng: np.random.Generator) -> Floats:
    """The face with uniform noise within 8 levels, in [0,1].

    Similarity to oneself has no gradient at the photo itself, and one that begins elsewhere each time cannot
    be compared bit by bit with the last.

    Args:
        face: float32 3 112 112 in [0,1].
        rng: fresh for each call.
    """
    radius = START_LEVELS / 255.0
    noise = rng.uniform(-radius, radius, face.shape).astype(np.float32)
    return np.asarray(np.clip(face + noise, 0.0, 1.0), np.float32)


@dataclass(frozen=True)
class RandomFrame:
    """A small random similarity around the middle of the 112-pixel frame.

    Args:
        scale: factor of the size.
        degrees: of rotation.
        shift: pixels to the right and down.
    """

    scale: float
    degrees: float
    shift: tuple[float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Scale e^N(0, 0.05), rotation N(0, 3 degrees), shift N(0, 3 pixels) each way."""
        scale, degrees, right, down = rng.standard_normal(4).tolist()
        return cls(math.exp(_SCALE * scale), _ROTATION * degrees, (_SHIFT * right, _SHIFT * down))

    def apply(self, image: Floats) -> Floats:
        """An image 3 112 112 in this frame; beyond the edge it is mirrored."""
        return self._warp(image, inverse=False, border=cv2.BORDER_REFLECT_101)

    def undo(self, direction: Floats) -> Floats:
        """A direction 3 112 112 of this frame in the plain one; 0 where this frame has none."""
        return self._warp(direction, inverse=True, border=cv2.BORDER_CONSTANT)

    def _warp(self, image: Floats, *, inverse: bool, border: int) -> Floats:
        if image.shape != (3, _SIDE, _SIDE):
            raise ValueError(f"image has shape {image.shape}, expected (3, {_SIDE}, {_SIDE})")
        centre = (_SIDE - 1) / 2
        matrix = cv2.getRotationMatrix2D((centre, centre), self.degrees, self.scale)
        matrix[:, 2] += np.array(self.shift)
        flags = cv2.INTER_LINEAR | (cv2.WARP_INVERSE_MAP if inverse else 0)
        source = np.ascontiguousarray(image.transpose(1, 2, 0), np.float32)
        warped = cv2.warpAffine(source, matrix, (_SIDE, _SIDE), flags=flags, borderMode=border)
        return np.ascontiguousarray(np.asarray(warped, np.float32).transpose(2, 0, 1))
