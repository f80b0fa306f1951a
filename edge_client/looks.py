"""Where in a face a change shows least: a weight for each pixel of the canvas.

Nothing outside the face, soft towards its edge so that no border shows; less on smooth skin, where grain
shows, and more in texture, which hides it (contrast masking, Legge and Foley 1980).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shared.faces.frames import FRAMES, similarity_to_frame

__all__ = ["Looks", "face_mask", "weight_map"]

Floats = npt.NDArray[np.float32]

# The oval of a face in the 112-pixel ArcFace frame: centre and half axes in pixels. Hair line to chin, ear to
# ear.
_CENTRE = (56.0, 64.0)
_HALF_AXES = (49.0, 63.0)


@dataclass(frozen=True)
class Looks:
    """How the weight is made.

    Args:
        edge: width of the soft edge, as a share of the oval's radius.
        smooth: weight on perfectly smooth skin, in [0,1]; texture moves it towards 1.
        contrast: local contrast, in levels, at which the weight is half way between `smooth` and 1.
    """

    edge: float = 0.18
    smooth: float = 0.85
    contrast: float = 8.0


def face_mask(
    size: tuple[int, int], landmarks: npt.NDArray[np.float64], *, edge: float = Looks.edge, reach: float = 1.0
) -> Floats:
    """1 inside the face's oval, 0 outside, smooth between.

    Args:
        size: height and width of the canvas.
        landmarks: shape 5 2 in canvas pixels.
        edge: width of the soft edge, as a share of the radius.
        reach: the oval's size over a face's.

    Returns:
        float32 H W.
    """
    matrix = similarity_to_frame(landmarks, FRAMES["arcface112"])
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float64)
    x = matrix[0, 0] * columns + matrix[0, 1] * rows + matrix[0, 2]
    y = matrix[1, 0] * columns + matrix[1, 1] * rows + matrix[1, 2]
    radius = np.hypot((x - _CENTRE[0]) / _HALF_AXES[0], (y - _CENTRE[1]) / _HALF_AXES[1]) / reach
    t = np.clip((1.0 - radius) / edge, 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


def weight_map(canvas: Floats, landmarks: npt.NDArray[np.float64], looks: Looks) -> Floats:
    """The weight of each pixel, for the budget.

    Args:
        canvas: float32 1 3 H W in [0,1].
        landmarks: shape 5 2 in canvas pixels.
        looks: the settings.

    Returns:
        float32 1 1 H W in [0,1]; its largest value is 1.
    """
    mask = face_mask((canvas.shape[2], canvas.shape[3]), landmarks, edge=looks.edge)
    texture = _local_contrast(canvas)
    seen = looks.smooth + (1.0 - looks.smooth) * texture / (texture + looks.contrast)
    weight = mask * seen
    return np.asarray(weight / max(float(weight.max()), 1e-6), dtype=np.float32)[None, None]


def _local_contrast(canvas: Floats) -> Floats:
    """Deviation of luma around each pixel, in levels, shape H W."""
    luma = canvas[0].transpose(1, 2, 0) @ np.array([0.299, 0.587, 0.114], np.float32) * np.float32(255.0)
    mean = cv2.GaussianBlur(luma, (0, 0), 2.0)
    square = cv2.GaussianBlur(luma * luma, (0, 0), 2.0)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0.0))
    # Take the least contrast near by, so that the halo of an edge on smooth skin does not count as texture.
    return np.asarray(
        cv2.GaussianBlur(cv2.erode(deviation, np.ones((3, 3), np.uint8)), (0, 0), 1.0), np.float32
    )
