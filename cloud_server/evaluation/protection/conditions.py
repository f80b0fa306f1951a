"""What happens to a saved photo before a recogniser sees it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Face
from shared.recompress import recompress

__all__ = ["CONDITIONS", "JITTER", "as_jpeg", "near", "off_centre", "published"]

Pixels = npt.NDArray[np.uint8]

# Another detector's crop: its centre is off by up to this share of the face box.
JITTER = 0.03


def as_jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Saved as JPEG at a quality in [1,100] and read again."""
    done, coded = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR) if done else None
    if decoded is None:
        raise GoodnoiseError(Code.INTERNAL, f"a picture of shape {pixels.shape} cannot be saved as JPEG")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


# By name: the file itself, recompressed, and as a platform shares it (0.75, quality 75, resized back).
CONDITIONS: dict[str, Callable[[Pixels], Pixels]] = {
    "png": lambda pixels: pixels,
    "jpeg85": lambda pixels: as_jpeg(pixels, 85),
    "shared": lambda pixels: recompress(pixels, scale=0.75, quality=75),
}


def published(pixels: Pixels, condition: str) -> Pixels:
    """The photo as a stranger gets it."""
    return CONDITIONS[condition](pixels)


def off_centre(face: Face, rng: np.random.Generator) -> Face:
    """The face as another detector would crop it: moved by up to `JITTER` of its box."""
    dx, dy = rng.uniform(-JITTER, JITTER, 2) * face.box[2]
    points = tuple((x + dx, y + dy) for x, y in face.landmarks)
    return Face(face.box, points, face.score)


def near(faces: list[Face], face: Face) -> Face:
    """The detected face nearest to where one was; that place when none is near."""
    centre = face.points().mean(axis=0)

    def distance(other: Face) -> float:
        return float(np.hypot(*(other.points().mean(axis=0) - centre)))

    return min((f for f in faces if distance(f) < 0.5 * face.box[2]), key=distance, default=face)
