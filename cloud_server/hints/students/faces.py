"""What a student sees: faces as another aligner or camera would give them, and blends of two people."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cloud_server.hints.data import FaceSet

__all__ = ["Views", "draw"]

Floats = npt.NDArray[np.float32]
_SIZE = 112


@dataclass(frozen=True)
class Views:
    """How far a face is varied.

    Args:
        scale: deviation of the logarithm of the size.
        rotation: deviation in degrees.
        shift: deviation in pixels of the frame.
        smallest: the smallest factor by which a face is shrunk and enlarged again.
        contrast: lowest and highest factor around mid-grey.
        brightness: deviation of what is added, in [0,1].
        blends: share of the faces that are mixed with another person's. A blend is a face of nobody, and a
            few thousand photos give millions (mixup for distillation: arXiv 2106.05237).
    """

    scale: float = 0.06
    rotation: float = 4.0
    shift: float = 3.0
    smallest: float = 0.5
    contrast: tuple[float, float] = (0.7, 1.3)
    brightness: float = 0.08
    blends: float = 0.5


def draw(faces: FaceSet, count: int, views: Views, rng: np.random.Generator) -> Floats:
    """So many faces drawn at random and varied, float32 N 3 112 112 in [0,1]."""
    first = _varied(faces, rng.integers(len(faces), size=count), views, rng)
    second = _varied(faces, rng.integers(len(faces), size=count), views, rng)
    for row in np.flatnonzero(rng.random(count) < views.blends):
        weight = _weight(rng)
        first[row] = weight * first[row] + (1 - weight) * second[row]
    return np.ascontiguousarray(first.transpose(0, 3, 1, 2), np.float32)


def _varied(faces: FaceSet, rows: npt.NDArray[np.int64], views: Views, rng: np.random.Generator) -> Floats:
    return np.stack([_vary(faces.levels[row], views, rng) for row in rows])


def _vary(face: npt.NDArray[np.uint8], views: Views, rng: np.random.Generator) -> Floats:
    pixels = np.ascontiguousarray(face.transpose(1, 2, 0))
    moved = cv2.warpAffine(
        pixels,
        _affine(views, rng),
        (_SIZE, _SIZE),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    if rng.random() < 0.5:
        moved = np.ascontiguousarray(moved[:, ::-1])
    if rng.random() < 0.5:
        side = int(_SIZE * rng.uniform(views.smallest, 1.0))
        small = cv2.resize(moved, (side, side), interpolation=cv2.INTER_AREA)
        moved = cv2.resize(small, (_SIZE, _SIZE), interpolation=cv2.INTER_LINEAR)
    light = (np.asarray(moved, np.float32) / 255 - 0.5) * rng.uniform(*views.contrast) + 0.5
    return np.clip(light + rng.normal(0, views.brightness), 0, 1).astype(np.float32)


def _affine(views: Views, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    scale, angle = math.exp(rng.normal(0, views.scale)), math.radians(rng.normal(0, views.rotation))
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    middle = np.full(2, _SIZE / 2)
    return np.hstack([turn, (middle - turn @ middle + rng.normal(0, views.shift, 2))[:, None]])


def _weight(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """One weight for all pixels, or a soft edge across or along the face; 1 or 112 112 1."""
    if rng.random() < 0.5:
        return np.array(rng.uniform(0.3, 0.7))
    edge: npt.NDArray[np.float64] = 1 / (
        1 + np.exp(-(np.arange(_SIZE) - rng.uniform(30, 82)) / rng.uniform(3, 12))
    )
    shape = (_SIZE, 1, 1) if rng.random() < 0.5 else (1, _SIZE, 1)
    return edge.reshape(shape)
