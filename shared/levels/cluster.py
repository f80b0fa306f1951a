"""Level `cluster`: one of sixteen public kinds of face photo, by pose, light and size.

The rule is fixed and public, so that a server cannot draw clusters around persons.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from shared.faces.frames import FRAMES, similarity_to_frame

__all__ = [
    "CLUSTERS",
    "CLUSTER_EPSILON",
    "cluster_name",
    "cluster_of",
    "cluster_of_face",
    "cluster_pose",
    "turn_of",
]

CLUSTERS = 16
# Of one answer; it is remembered for a photo, so asking again adds nothing.
CLUSTER_EPSILON = 2.0

_TURNS = (-6.0, 0.0, 6.0)
_LARGE = 64.0
_POSES = ("turned far left", "turned left", "turned right", "turned far right")
_LIGHTS = ("brighter on the left", "brighter on the right")
_SIZES = ("small", "large")


def turn_of(landmarks: npt.NDArray[np.float64]) -> float:
    """Where the nose tip lies beside the middle of eyes and mouth, in pixels of the ArcFace frame.

    Args:
        landmarks: left eye, right eye, nose tip, left and right corner of the mouth, 5 2, as in
            `shared.faces.frames`; negative turns are to the picture's left.
    """
    placed = np.hstack([landmarks, np.ones((5, 1))]) @ similarity_to_frame(landmarks, FRAMES["arcface112"]).T
    return float(placed[2, 0] - placed[[0, 1, 3, 4], 0].mean())


def cluster_of(landmarks: npt.NDArray[np.float64], face: npt.NDArray[np.float32]) -> int:
    """The cluster of a face.

    Args:
        landmarks: 5 2, in pixels of the photo.
        face: the aligned crop, float32 3 112 112.
    """
    large = float(np.hypot(*(landmarks[1] - landmarks[0]))) >= _LARGE
    return cluster_of_face(turn_of(landmarks), face, large=large)


def cluster_of_face(turn: float, face: npt.NDArray[np.float32], *, large: bool) -> int:
    """The cluster of a face whose turn and size are known already."""
    pose = int(np.searchsorted(_TURNS, turn, side="right"))
    half = face.shape[-1] // 2
    right = float(face[..., half:].mean()) > float(face[..., :half].mean())
    return pose * 4 + int(right) * 2 + int(large)


def cluster_name(number: int) -> str:
    """A cluster in words.

    Raises:
        ValueError: for a number outside 0 to 15.
    """
    number = _checked(number)
    return f"{_POSES[number // 4]}, {_LIGHTS[number // 2 % 2]}, {_SIZES[number % 2]}"


def cluster_pose(number: int) -> Literal["left", "right"]:
    """The side of the picture that a cluster's faces are turned to.

    Raises:
        ValueError: for a number outside 0 to 15.
    """
    return "left" if _checked(number) // 4 < 2 else "right"


def _checked(number: int) -> int:
    if not 0 <= number < CLUSTERS:
        raise ValueError(f"cluster is {number}, expected 0 to {CLUSTERS - 1}")
    return number
