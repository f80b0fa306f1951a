"""The 468 landmarks of a face mesh, found in photos with the zoo's `facemesh`."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from models.importers.canonical import embed, session
from models.store import Store, load_card

__all__ = ["POINTS", "FaceMesh"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

POINTS = 468
# Outer corners of the eyes, left in the picture first.
_EYES = (33, 263)
# As MediaPipe's face_landmark_front: a square around what was found, half as large again.
_MARGIN = 1.5
# The first square comes from five landmarks only; the second look fits the whole face.
_LOOKS = 2


class FaceMesh:
    """MediaPipe's face mesh (arXiv 1907.06724) on ONNX Runtime, one thread.

    Args:
        model: the zoo's ONNX file.
    """

    def __init__(self, model: bytes) -> None:
        self._running = session(model)
        self._side = int(self._running.get_inputs()[0].shape[2])

    @classmethod
    def of(cls, store: Store) -> FaceMesh:
        """The network of the zoo.

        Raises:
            GoodnoiseError: PRECONDITION when it was not fetched.
        """
        return cls(store.read(load_card("facemesh", store.folder)))

    def find(self, photo: Pixels, five: npt.ArrayLike) -> Floats:
        """Places of the mesh's points, float64 468 2, photo pixels with centres at whole numbers.

        Args:
            photo: uint8 H W 3, RGB.
            five: the face's five landmarks, shape 5 2 (see `shared.faces.frames`).
        """
        square = _square_of_five(np.asarray(five, np.float64))
        for look in range(_LOOKS):
            points = self._look(photo, square)
            if look + 1 < _LOOKS:
                square = _square_of_mesh(points)
        return points

    def _look(self, photo: Pixels, square: Floats) -> Floats:
        to_photo = _from_unit(square)
        # Corners of the network's picture lie half a pixel outside its first and last pixel's centre.
        to_unit = np.array([[1 / self._side, 0, 0.5 / self._side], [0, 1 / self._side, 0.5 / self._side]])
        matrix = to_photo @ np.vstack([to_unit, [0, 0, 1]])
        seen = cv2.warpAffine(
            photo, matrix, (self._side, self._side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        face = np.ascontiguousarray(seen.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        found = embed(self._running, face).reshape(POINTS, 3)[:, :2].astype(np.float64)
        return np.asarray((found / self._side) @ to_photo[:, :2].T + to_photo[:, 2])


def _from_unit(square: Floats) -> Floats:
    """From (0..1, 0..1) to photo pixels, 2 3; `square` is centre x, centre y, side, angle."""
    x, y, side, angle = square
    turn = side * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([turn, np.array([x, y]) - turn @ (0.5, 0.5)])


def _square_of_five(five: Floats) -> Floats:
    if five.shape != (5, 2):
        raise ValueError(f"five: expected landmarks of shape 5 2, got {five.shape}")
    across = five[1] - five[0]
    middle = (five[:2].mean(axis=0) + five[3:].mean(axis=0)) / 2
    # A head is about twice as wide as the distance of its pupils; turned ones are measured eyes to mouth.
    down = five[3:].mean(axis=0) - five[:2].mean(axis=0)
    size = 2.2 * max(float(np.hypot(*across)), float(np.hypot(*down)))
    return np.array([*middle, _MARGIN * size, np.arctan2(across[1], across[0])])


def _square_of_mesh(points: Floats) -> Floats:
    across = points[_EYES[1]] - points[_EYES[0]]
    angle = float(np.arctan2(across[1], across[0]))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    upright = points @ turn.T
    low, high = upright.min(axis=0), upright.max(axis=0)
    middle = turn.T @ ((low + high) / 2)
    return np.array([*middle, _MARGIN * float((high - low).max()), angle])
