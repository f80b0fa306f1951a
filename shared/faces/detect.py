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
# A photo smaller than this is searched at twice its size as well: faces of 10 to 20 pixels are missed less
# often, and their landmarks are off by half as much.
SMALL_SIDE = 160


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
        """Every face of which at least two landmarks lie in the photo, largest first.

        Boxes and landmarks may reach over the photo's edge.

        Args:
            photo: uint8 H W 3, RGB.
        """
        if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
            raise ValueError(
                f"photo: expected uint8 of shape H W 3, got {photo.dtype} of shape {photo.shape}"
            )
        bgr = np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), np.uint8)
        long_side = max(photo.shape[:2])
        candidates = [
            face for side in _sides(long_side) for face in self._find_on_copy(bgr, side / long_side)
        ]
        inside = [face for face in candidates if _shows(face, photo.shape)]
        return _merge(inside, self._overlap)

    def _find_on_copy(self, bgr: npt.NDArray[np.uint8], factor: float) -> list[Face]:
        height, width = bgr.shape[:2]
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        copy = bgr
        if size != (width, height):
            how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
            copy = np.asarray(cv2.resize(bgr, size, interpolation=how), np.uint8)
        # A border, so that a face cut by the photo's edge is still found whole.
        border = max(8, max(size) // 8)
        black = (0, 0, 0)
        framed = cv2.copyMakeBorder(copy, border, border, border, border, cv2.BORDER_CONSTANT, value=black)
        self._net.setInputSize((framed.shape[1], framed.shape[0]))
        _, rows = self._net.detect(framed)
        if rows is None:
            return []
        return [
            _to_photo(row, border, width / size[0], height / size[1]) for row in np.asarray(rows, np.float64)
        ]


def _sides(long_side: int) -> list[int]:
    sides = [side for side in (*COPY_SIDES, FULL_SIDE) if side < long_side]
    if long_side <= FULL_SIDE:
        sides.append(long_side)
    return [*sides, 2 * long_side] if long_side < SMALL_SIDE else sides


@contextmanager
def _quiet() -> Iterator[None]:
    # OpenCV 5 warns on standard error about a setting that FaceDetectorYN makes of its own accord.
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _shows(face: Face, shape: tuple[int, ...]) -> bool:
    # Around the photo lies a border of our own, in which no face is.
    points = face.points()
    inside = (points >= 0).all(axis=1) & (points <= (shape[1] - 1, shape[0] - 1)).all(axis=1)
    return int(inside.sum()) >= 2


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
