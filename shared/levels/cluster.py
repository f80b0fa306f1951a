"""Level `cluster`: a face is of one of sixteen public kinds, by a fixed rule that anyone can read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.faces.frames import FRAMES, similarity_to_frame

__all__ = ["CLUSTERS", "CLUSTER_EPSILON", "cluster_name", "cluster_of", "pose_of_cluster", "turn_of"]

CLUSTERS = 16
CLUSTER_EPSILON = 2.0  # of the answer about one photo's face, which is remembered

# Where the nose tip lies beside the middle of eyes and mouth, in pixels of the frame.
_TURNS = (-6.0, 0.0, 6.0)
_SMALL_EYES = 64.0  # distance of the eyes in the photo, in pixels
_POSES = ("turned far to the left", "turned to the left", "turned to the right", "turned far to the right")


def cluster_of(landmarks: npt.ArrayLike, face: npt.NDArray[np.float32]) -> int:
    """The kind of a face: (pose * 2 + light) * 2 + size.

    Pose is one of four by how far the head is turned, light is 1 where the right half of the picture is
    brighter than the left, size is 1 from 64 pixels between the eyes.

    Args:
        landmarks: shape 5 2, photo pixels (`shared.faces.frames`).
        face: float32 3 112 112 in [0,1], aligned in the frame 'arcface112'.

    Returns:
        0 to 15.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if face.shape != (3, 112, 112):
        raise ValueError(f"face has shape {face.shape}, expected (3, 112, 112)")
    pose = int(np.searchsorted(_TURNS, turn_of(points), side="right"))
    half = face.shape[2] // 2
    light = int(face[:, :, half:].mean() > face[:, :, :half].mean())
    size = int(np.hypot(*(points[1] - points[0])) >= _SMALL_EYES)
    return (pose * 2 + light) * 2 + size


def turn_of(landmarks: npt.NDArray[np.float64]) -> float:
    """Where the nose tip lies beside the middle of eyes and mouth, in frame pixels; below 0 is left."""
    placed = np.hstack([landmarks, np.ones((5, 1))]) @ similarity_to_frame(landmarks, FRAMES["arcface112"]).T
    return float(placed[2, 0] - placed[[0, 1, 3, 4], 0].mean())


def pose_of_cluster(cluster: int) -> str:
    """'left' or 'right': the side that the heads of a kind are turned to."""
    return "left" if _checked(cluster) // 4 < 2 else "right"


def cluster_name(cluster: int) -> str:
    """A kind in words."""
    pose, light, size = _checked(cluster) // 4, cluster // 2 % 2, cluster % 2
    brighter = "right" if light else "left"
    distance = "64 pixels or more" if size else "under 64 pixels"
    return f"{_POSES[pose]}, {brighter} half brighter, {distance} between the eyes"


def _checked(cluster: int) -> int:
    if not 0 <= cluster < CLUSTERS:
        raise ValueError(f"cluster is {cluster}, expected 0 to {CLUSTERS - 1}")
    return cluster
