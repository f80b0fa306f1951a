"""What hides a gradient's exact place: a random start within the budget, and a random affine frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["RandomFrame", "random_start"]

Floats = npt.NDArray[np.float32]
_SIZE = 112
_LEVELS = 8.0


def random_start(face: Floats, rng: np.random.Generator) -> Floats:
    """The face, float32 3 112 112 in [0,1], with uniform noise within 8 levels.

    Similarity to oneself has no gradient at the photo itself.
    """
    noise = rng.uniform(-_LEVELS, _LEVELS, face.shape).astype(np.float32) / np.float32(255)
    return np.clip(face + noise, 0, 1)


@dataclass(frozen=True)
class RandomFrame:
    """A small affine move of the aligned face; it stays on the device.

    Args:
        matrix: from the ArcFace frame to the random one, 2 3.
    """

    matrix: npt.NDArray[np.float64]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Scale e^N(0, 0.05), rotation N(0, 3 degrees) and shift N(0, 3 pixels), around the middle."""
        scale, angle = math.exp(rng.normal(0, 0.05)), math.radians(rng.normal(0, 3))
        cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
        turn = np.array([[cosine, -sine], [sine, cosine]])
        middle = np.full(2, _SIZE / 2 - 0.5)
        return cls(np.hstack([turn, (middle - turn @ middle + rng.normal(0, 3, 2))[:, None]]))

    @classmethod
    def identity(cls) -> Self:
        """No move."""
        return cls(np.eye(2, 3))

    def apply(self, image: Floats) -> Floats:
        """An image, float32 3 112 112, in the random frame; its edge is repeated outwards."""
        return _warped(image, self.matrix, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)

    def undo(self, direction: Floats) -> Floats:
        """A direction of the random frame, float32 3 112 112, in the ArcFace frame; zero outside."""
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return _warped(direction, self.matrix, flags, cv2.BORDER_CONSTANT)


def _warped(image: Floats, matrix: npt.NDArray[np.float64], flags: int, border: int) -> Floats:
    planes = np.ascontiguousarray(image.transpose(1, 2, 0))
    moved = cv2.warpAffine(planes, matrix, (_SIZE, _SIZE), flags=flags, borderMode=border)
    return np.ascontiguousarray(np.asarray(moved, np.float32).transpose(2, 0, 1))
