"""Frames: where a recogniser expects the five landmarks of a face, and the map from a photo into a frame.

Coordinates are (x, y) in pixels with pixel centres at whole numbers, as in OpenCV. Landmarks come in the
order left eye, right eye, nose tip, left mouth corner, right mouth corner, where left is left in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shared.cards import FrameName
from shared.errors import Code, GoodnoiseError

__all__ = ["FRAMES", "Frame", "crop", "similarity_to_frame"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """A square of `size` pixels and the five points' places in it, shape 5 2."""

    name: FrameName
    size: int
    points: tuple[tuple[float, float], ...]

    def array(self) -> Floats:
        """The five points as float64, shape 5 2."""
        return np.array(self.points, dtype=np.float64)


# The points of InsightFace's ArcFace template for 112x112 (arXiv 1801.07698, their `face_align.py`).
_ARCFACE = Frame(
    "arcface112",
    112,
    ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)),
)


def _dlib_frame(size: int = 150, padding: float = 0.25) -> Frame:
    # Five of dlib's mean 68-point shape in its unit square (dlib `render_face_detections`,
    # `interpolation.h`): each eye as the mean of its six points, the nose tip and the corners of the mouth.
    unit = ((0.2255, 0.2160), (0.7548, 0.2160), (0.4901, 0.5156), (0.2541, 0.7802), (0.7261, 0.7802))
    place = [
        ((x + padding) / (1 + 2 * padding) * size, (y + padding) / (1 + 2 * padding) * size) for x, y in unit
    ]
    return Frame("dlib150", size, tuple(place))


FRAMES: dict[FrameName, Frame] = {"arcface112": _ARCFACE, "dlib150": _dlib_frame()}


def similarity_to_frame(landmarks: npt.ArrayLike, frame: Frame) -> Floats:
    """Least-squares similarity (rotation, uniform scale, shift) from photo to frame coordinates.

    Args:
        landmarks: shape 5 2, photo pixels.
        frame: the target.

    Returns:
        float64 of shape 2 3, to multiply (x, y, 1).

    Raises:
        GoodnoiseError: INVALID_INPUT when the landmarks coincide.

    Source:
        Umeyama 1991; written in complex form, where a similarity without reflection is z -> a z + b.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise ValueError(f"landmarks: expected 5 finite (x, y) pairs, got shape {points.shape}")
    source = points[:, 0] + 1j * points[:, 1]
    target = frame.array()[:, 0] + 1j * frame.array()[:, 1]
    spread = source - source.mean()
    energy = float(np.vdot(spread, spread).real)
    if energy < 1.0:
        raise GoodnoiseError(Code.INVALID_INPUT, "a face is smaller than two pixels; give a larger photo")
    a = np.vdot(spread, target - target.mean()) / energy
    b = target.mean() - a * source.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def crop(photo: npt.NDArray[np.uint8], landmarks: npt.ArrayLike, frame: Frame) -> npt.NDArray[np.float32]:
    """The aligned face.

    Args:
        photo: uint8 H W 3, RGB.
        landmarks: shape 5 2, photo pixels.
        frame: the target frame.

    Returns:
        float32 of shape 1 3 S S, RGB in [0,1]. Area averaging is used where the photo is more than twice as
        fine as the frame, bilinear otherwise; what lies outside the photo is black.
    """
    matrix = similarity_to_frame(landmarks, frame)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    source = photo
    if scale < 0.5:
        # Shrink first, so that one bilinear sample never skips pixels (aliasing differs between recognisers'
        # readers).
        factor = 2.0 * scale
        x0, y0, x1, y1 = _window(matrix, frame.size, photo.shape)
        source = photo[y0:y1, x0:x1]
        size = (max(1, round((x1 - x0) * factor)), max(1, round((y1 - y0) * factor)))
        source = np.asarray(cv2.resize(source, size, interpolation=cv2.INTER_AREA), np.uint8)
        matrix = matrix @ _pixel_map((x1 - x0) / size[0], (y1 - y0) / size[1], x0, y0)
    warped = cv2.warpAffine(
        source, matrix[:2], (frame.size, frame.size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    return np.ascontiguousarray(warped.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255.0))


def _window(matrix: Floats, size: int, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]], dtype=np.float64) @ inverse.T
    low = np.floor(corners.min(axis=0)).astype(int) - 2
    high = np.ceil(corners.max(axis=0)).astype(int) + 3
    # A frame that lies wholly outside the photo still gets a pixel of its edge, which then maps outside.
    x0, y0 = np.clip(low, 0, (shape[1] - 1, shape[0] - 1))
    x1, y1 = np.clip(high, (x0 + 1, y0 + 1), (shape[1], shape[0]))
    return int(x0), int(y0), int(x1), int(y1)


def _pixel_map(step_x: float, step_y: float, x0: float, y0: float) -> Floats:
    # From a shrunk window's pixel centres back to the photo's: x = (u + 0.5) * step - 0.5 + x0.
    return np.array([[step_x, 0, 0.5 * step_x - 0.5 + x0], [0, step_y, 0.5 * step_y - 0.5 + y0], [0, 0, 1]])
