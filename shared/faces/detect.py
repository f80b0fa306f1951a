"""Finding faces with YuNet in OpenCV, on scaled copies, merged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shared.errors import Code, GoodnoiseError

__all__ = ["Detector", "Face"]

# Long sides of the copies, in pixels. YuNet finds faces of about 10 to 300 pixels, so a small copy catches
# the face that fills a large photo and a large copy the faces in the background.
COPY_SIDES = (320, 640, 1280)
FULL_SIDE = 2560


@dataclass(frozen=True)
class Face:
    """One face, in photo pixels: box (left, top, width, height), landmarks 5 2 (`frames`); score in [0,1]."""

    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]
    score: float

    def points(self) -> npt.NDArray[np.float64]:
        """Landmarks as float64, shape 5 2."""
        return np.array(self.landmarks, dtype=np.float64)


class Detector:
    """YuNet (Wu et al., Machine Intelligence Research 2023) over `cv2.FaceDetectorYN`.

    Args:
        model: the ONNX file's bytes.
        score: lowest detection score to keep, in [0,1].
        overlap: boxes overlapping more than this share of the smaller one are one face.
    """

    def __init__(self, model: bytes, *, score: float = 0.7, overlap: float = 0.4) -> None:
        buffer = np.frombuffer(model, dtype=np.uint8)
        try:
            with _quiet():
                self._net = cv2.FaceDetectorYN.create(
                    "onnx", buffer, np.empty(0, np.uint8), (320, 320), score, 0.3, 500
                )
        except cv2.error as error:
            raise GoodnoiseError(
                Code.CORRUPT, "the face detector cannot be read; run 'goodnoise update' to fetch it again"
            ) from error
        self._overlap = overlap

    def find(self, photo: npt.NDArray[np.uint8]) -> list[Face]:
        """Every face, largest first.

        Args:
            photo: uint8 H W 3, RGB.
        """
        if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
            raise ValueError(
                f"photo: expected uint8 of shape H W 3, got {photo.dtype} of shape {photo.shape}"
            )
        bgr = np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), np.uint8)
        long_side = max(photo.shape[:2])
        sides = [side for side in (*COPY_SIDES, FULL_SIDE) if side < long_side]
        if long_side <= FULL_SIDE:
            sides.append(long_side)
        candidates = [face for side in sides for face in self._find_on_copy(bgr, side / long_side)]
        return _merge(candidates, self._overlap)

    def _find_on_copy(self, bgr: npt.NDArray[np.uint8], factor: float) -> list[Face]:
        height, width = bgr.shape[:2]
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        copy = bgr if size == (width, height) else cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
        # A border, so that a face cut by the photo's edge is still found whole.
        border = max(8, max(size) // 8)
        copy = cv2.copyMakeBorder(copy, border, border, border, border, cv2.BORDER_CONSTANT, value=(0, 0, 0))
        self._net.setInputSize((copy.shape[1], copy.shape[0]))
        _, rows = self._net.detect(copy)
        if rows is None:
            return []
        return [
            _to_photo(row, border, width / size[0], height / size[1]) for row in np.asarray(rows, np.float64)
        ]


@contextmanager
def _quiet() -> Iterator[None]:
    # OpenCV 5 warns on standard error about a setting that FaceDetectorYN makes of its own accord.
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _to_photo(row: npt.NDArray[np.float64], border: int, step_x: float, step_y: float) -> Face:
    step = np.array([step_x, step_y])
    low = (row[0:2] - border) * step
    size = row[2:4] * step
    points = (row[4:14].reshape(5, 2) - border + 0.5) * step - 0.5
    return Face(
        box=(float(low[0]), float(low[1]), float(size[0]), float(size[1])),
        landmarks=tuple((float(x), float(y)) for x, y in points),
        score=float(row[14]),
    )


def _merge(faces: Sequence[Face], overlap: float) -> list[Face]:
    # The best score wins each place: landmarks are exact at the scale where the face fits the network.
    kept: list[Face] = []
    for face in sorted(faces, key=lambda f: f.score, reverse=True):
        if all(_shared_part(face.box, other.box) <= overlap for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda f: f.box[2] * f.box[3], reverse=True)


def _shared_part(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min(a[2] * a[3], b[2] * b[3])
