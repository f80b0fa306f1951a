"""Does it work? What the device's recognisers say before and after, and after a platform's recompression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge_client.photos import recompress
from edge_client.recognisers import Recogniser
from shared.faces.detect import Detector, Face
from shared.faces.frames import crop

__all__ = [
    "CONDITIONS",
    "SMALLEST_FACE",
    "Anchors",
    "Condition",
    "Verdict",
    "embed",
    "find_again",
    "judge",
    "seen",
]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
# For each recogniser, by name, what a face is compared with: float32 K D.
Anchors = Mapping[str, Floats]

# A face whose box is narrower than this, in pixels, is left alone: recognisers see noise in it.
SMALLEST_FACE = 20
# A face is looked for again on a copy of its surroundings with at most this long side, in pixels.
_SEARCH_SIDE = 640
# How far a face found again may have moved, and how much its width may have changed, as shares of the width.
_NEAR = 0.5
_ALIKE = (0.6, 1.7)


@dataclass(frozen=True)
class Condition:
    """What a platform does to a photo: resize by `scale`, JPEG at `quality` (0 for none), and back."""

    name: str
    scale: float = 1.0
    quality: int = 0


# The saved file itself, and the hardest of the benchmark's: a smaller copy at quality 75.
CONDITIONS: tuple[Condition, ...] = (Condition("saved"), Condition("shared", 0.75, 75))


@dataclass(frozen=True)
class Verdict:
    """One recogniser on one face.

    Similarities are cosines, or minus the distance where the recogniser's metric is Euclidean; `after` is the
    largest over anchors and conditions. `target` is the threshold less the calibrated margin.
    """

    recogniser: str
    role: str
    before: float
    after: float
    threshold: float
    target: float

    @property
    def matches(self) -> bool:
        """Whether the recogniser still takes the face for its owner's, or gave no number at all."""
        return not self.after < self.threshold

    @property
    def passed(self) -> bool:
        """Whether the face is behind the target, margin included."""
        return self.after < self.target


def embed(pixels: Pixels, face: Face, recognisers: Sequence[Recogniser]) -> Anchors:
    """The face's embedding by every recogniser, each float32 1 D."""
    return {r.name: r.embed(crop(pixels, face.points(), r.frame)) for r in recognisers}


def judge(
    before: Pixels,
    after: Pixels,
    face: Face,
    anchors: Anchors,
    recognisers: Sequence[Recogniser],
    detector: Detector,
    *,
    conditions: Sequence[Condition] = CONDITIONS,
) -> tuple[Verdict, ...]:
    """Each recogniser's verdict on one face.

    Args:
        before: the original, uint8 H W 3.
        after: what was saved, decoded again, the same shape.
        face: where the face is in the original.
        anchors: what it is compared with.
        recognisers: who decides.
        detector: finds the face again in each condition, as a stranger would.
        conditions: what happens to the photo before a stranger sees it.
    """
    own = embed(before, face, recognisers)
    later = [embed(*seen(after, face, condition, detector), recognisers) for condition in conditions]
    return tuple(_verdict(r, own[r.name], [s[r.name] for s in later], anchors[r.name]) for r in recognisers)


def _verdict(recogniser: Recogniser, own: Floats, seen: Sequence[Floats], anchors: Floats) -> Verdict:
    threshold = recogniser.threshold
    return Verdict(
        recogniser=recogniser.name,
        role=recogniser.role,
        before=float(recogniser.similarity(own, anchors).max()),
        # numpy's largest, not Python's: what is no number stays none.
        after=float(np.max([recogniser.similarity(s, anchors).max() for s in seen])),
        threshold=threshold,
        target=threshold - recogniser.margin,
    )


def find_again(pixels: Pixels, face: Face, detector: Detector) -> Face:
    """A known face, as a detector sees it in a changed photo.

    Args:
        pixels: the changed photo, uint8 H W 3.
        face: where the face was in the original, of the same size.
        detector: who looks.

    Returns:
        The face of about the same place and size that lies nearest; where there is none, `face` itself: one
        that this detector no longer sees may be seen by another.
    """
    factor = min(1.0, _SEARCH_SIDE / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor)))
    copy = pixels
    if factor < 1.0:
        copy = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    steps = (pixels.shape[1] / size[0], pixels.shape[0] / size[1])
    found = [_scaled(other, steps) for other in detector.find(copy)]
    return min(
        (other for other in found if _same_place(other, face)),
        key=lambda other: _distance(other, face),
        default=face,
    )


def seen(pixels: Pixels, face: Face, condition: Condition, detector: Detector) -> tuple[Pixels, Face]:
    """The surroundings of a face as a condition leaves them, and the face found in them again.

    Args:
        pixels: the changed photo, uint8 H W 3.
        face: where the face was in the original, of the same size.
        condition: what happens to the photo.
        detector: who looks for the face, see `find_again`.
    """
    x0, y0, x1, y1 = _surroundings(pixels.shape, face)
    part = np.ascontiguousarray(pixels[y0:y1, x0:x1])
    if condition.quality:
        part = recompress(part, scale=condition.scale, quality=condition.quality)
    return part, find_again(part, _shifted(face, -x0, -y0), detector)


def _surroundings(shape: tuple[int, ...], face: Face) -> tuple[int, int, int, int]:
    """Three times the face's box, cut to the photo, never empty: left, top, right, bottom."""
    left, top, width, height = face.box
    x0 = min(max(0, int(left - width)), shape[1] - 1)
    y0 = min(max(0, int(top - height)), shape[0] - 1)
    x1, y1 = min(shape[1], int(left + 2 * width) + 1), min(shape[0], int(top + 2 * height) + 1)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _shifted(face: Face, dx: float, dy: float) -> Face:
    left, top, width, height = face.box
    points = tuple((x + dx, y + dy) for x, y in face.landmarks)
    return Face((left + dx, top + dy, width, height), points, face.score)


def _scaled(face: Face, steps: tuple[float, float]) -> Face:
    """A face found on a copy, in the pixels of what the copy was made of."""
    (step_x, step_y), (left, top, width, height) = steps, face.box
    points = tuple(((x + 0.5) * step_x - 0.5, (y + 0.5) * step_y - 0.5) for x, y in face.landmarks)
    return Face((left * step_x, top * step_y, width * step_x, height * step_y), points, face.score)


def _same_place(found: Face, face: Face) -> bool:
    # Without the size, a child's face before the one that was hidden would pass for it.
    low, high = _ALIKE
    return _distance(found, face) < _NEAR * face.box[2] and low < found.box[2] / face.box[2] < high


def _distance(one: Face, other: Face) -> float:
    return float(np.hypot(*(one.points().mean(axis=0) - other.points().mean(axis=0))))
