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

__all__ = ["CONDITIONS", "Anchors", "Condition", "Verdict", "anchors_of", "embed", "judge"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
# For each recogniser, by name, what a face is compared with: float32 K D.
Anchors = Mapping[str, Floats]

# A face is looked for again on a copy of its surroundings with at most this long side, in pixels.
_SEARCH_SIDE = 640


@dataclass(frozen=True)
class Condition:
    """What a platform does to a photo: resize by `scale`, JPEG at `quality` (0 for none), and back."""

    name: str
    scale: float = 1.0
    quality: int = 0


# The saved file itself, and the hardest of `docs/measures`: a smaller copy at quality 75.
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
        """Whether the recogniser still takes the face for its owner's."""
        return self.after >= self.threshold

    @property
    def passed(self) -> bool:
        """Whether the face is behind the target, margin included."""
        return self.after < self.target


def embed(pixels: Pixels, face: Face, recognisers: Sequence[Recogniser]) -> Anchors:
    """The face's embedding by every recogniser, each float32 1 D."""
    return {r.name: r.embed(crop(pixels, face.points(), r.frame)) for r in recognisers}


def anchors_of(pixels: Pixels, faces: Sequence[Face], recognisers: Sequence[Recogniser]) -> list[Anchors]:
    """`embed` for several faces of one photo."""
    return [embed(pixels, face, recognisers) for face in faces]


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
    seen = [embed(*_seen(after, face, condition, detector), recognisers) for condition in conditions]
    return tuple(_verdict(r, own[r.name], [s[r.name] for s in seen], anchors[r.name]) for r in recognisers)


def _verdict(recogniser: Recogniser, own: Floats, seen: Sequence[Floats], anchors: Floats) -> Verdict:
    threshold = recogniser.threshold
    return Verdict(
        recogniser=recogniser.name,
        role=recogniser.role,
        before=float(recogniser.similarity(own, anchors).max()),
        after=max(float(recogniser.similarity(s, anchors).max()) for s in seen),
        threshold=threshold,
        target=threshold - recogniser.margin,
    )


def _seen(pixels: Pixels, face: Face, condition: Condition, detector: Detector) -> tuple[Pixels, Face]:
    """The surroundings of a face as a condition leaves them, and the face found in them again."""
    x0, y0, x1, y1 = _surroundings(pixels.shape, face)
    part = np.ascontiguousarray(pixels[y0:y1, x0:x1])
    if condition.quality:
        part = recompress(part, scale=condition.scale, quality=condition.quality)
    moved = _moved(face, -x0, -y0, 1.0)
    return part, _found_again(part, moved, detector)


def _surroundings(shape: tuple[int, ...], face: Face) -> tuple[int, int, int, int]:
    left, top, width, height = face.box
    x0, y0 = max(0, int(left - width)), max(0, int(top - height))
    x1, y1 = min(shape[1], int(left + 2 * width) + 1), min(shape[0], int(top + 2 * height) + 1)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _moved(face: Face, dx: float, dy: float, factor: float) -> Face:
    left, top, width, height = face.box
    box = ((left + dx) * factor, (top + dy) * factor, width * factor, height * factor)
    points = tuple(((x + dx + 0.5) * factor - 0.5, (y + dy + 0.5) * factor - 0.5) for x, y in face.landmarks)
    return Face(box, points, face.score)


def _found_again(part: Pixels, face: Face, detector: Detector) -> Face:
    factor = min(1.0, _SEARCH_SIDE / max(part.shape[:2]))
    size = (max(1, round(part.shape[1] * factor)), max(1, round(part.shape[0] * factor)))
    copy = (
        part if factor == 1.0 else np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    )
    centre = face.points().mean(axis=0)
    near = [_moved(f, 0.0, 0.0, 1.0 / factor) for f in detector.find(copy)]
    near = [f for f in near if np.hypot(*(f.points().mean(axis=0) - centre)) < 0.5 * face.box[2]]
    # A face that this detector no longer sees may be seen by another: compare it where it was.
    return min(near, key=lambda f: float(np.hypot(*(f.points().mean(axis=0) - centre))), default=face)
