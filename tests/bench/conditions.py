"""The conditions of the protection benchmark: what happens to a saved photo before a recogniser sees it."""

from __future__ import annotations

import io

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from edge_client.photos import recompress
from shared.faces.detect import Face

CONDITIONS = ("png", "jpeg85", "shared")
# Another detector's crop: its centre is off by up to this share of the face box.
JITTER = 0.03

Pixels = npt.NDArray[np.uint8]


def seen(pixels: Pixels, condition: str) -> Pixels:
    """The photo as a stranger gets it."""
    if condition == "png":
        return pixels
    if condition == "jpeg85":
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
        return np.asarray(Image.open(buffer).convert("RGB"))
    return recompress(pixels, scale=0.75, quality=75)


def off_centre(face: Face, rng: np.random.Generator) -> Face:
    """The face as another detector would crop it: moved by up to `JITTER` of its box."""
    dx, dy = rng.uniform(-JITTER, JITTER, 2) * face.box[2]
    points = tuple((x + dx, y + dy) for x, y in face.landmarks)
    return Face(face.box, points, face.score)


def near(faces: list[Face], face: Face) -> Face:
    """The detected face nearest to where one was; that place when none is near."""
    centre = face.points().mean(axis=0)
    close = [f for f in faces if np.hypot(*(f.points().mean(axis=0) - centre)) < 0.5 * face.box[2]]
    return min(close, key=lambda f: float(np.hypot(*(f.points().mean(axis=0) - centre))), default=face)


def resized(pixels: Pixels, long_side: int) -> Pixels:
    """A copy with this long side."""
    factor = long_side / max(pixels.shape[:2])
    size = (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
