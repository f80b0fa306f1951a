"""One pair: what each recogniser says before and after, in each condition, and what the change costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cloud_server.evaluation.protection.conditions import CONDITIONS, near, off_centre, published
from cloud_server.evaluation.protection.pairs import Pair, main_face, read_pixels
from cloud_server.evaluation.protection.recognisers import Recogniser
from shared.bundle import sha256_hex
from shared.faces.detect import Detector, Face
from shared.metrics import psnr, ssim

__all__ = ["Asked", "Known", "Treatment", "looks_of"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
# What somebody does to a photo before recognising: pixels and the face's place to pixels.
Treatment = Callable[[Pixels, Face], Pixels]


@dataclass(frozen=True)
class Known:
    """A pair as it is without protection: the photo to protect, its face, the enrolled face's embeddings."""

    target: Pixels
    face: Face
    enrolled: Mapping[str, Floats]


def looks_of(before: Pixels, after: Pixels, face: Face) -> dict[str, Any]:
    """PSNR and SSIM over the face box, and the largest change anywhere in levels of 8 bits."""
    x, y, width, height = (max(round(value), 0) for value in face.box)
    box = (slice(y, y + height), slice(x, x + width))
    value = psnr(before[box], after[box])
    return {
        "psnr": value if np.isfinite(value) else None,
        "ssim": ssim(before[box], after[box]),
        "levels": int(np.abs(before.astype(np.int16) - after).max()),
    }


@dataclass
class Asked:
    """The recognisers, with a detector; for one thread.

    What is known of a pair is kept, since every row asks for it again; photos are not.
    """

    recognisers: Sequence[Recogniser]
    detector: Detector
    _kept: dict[str, tuple[Face, Mapping[str, Floats]] | None] = field(default_factory=dict)

    def known(self, pair: Pair) -> Known | None:
        """None when the detector misses one of the two faces."""
        target = read_pixels(pair.task.target)
        if pair.task.name not in self._kept:
            self._kept[pair.task.name] = self._look(pair, target)
        kept = self._kept[pair.task.name]
        return None if kept is None else Known(target, *kept)

    def _look(self, pair: Pair, target: Pixels) -> tuple[Face, Mapping[str, Floats]] | None:
        enrolled = read_pixels(pair.enrolled)
        face, other = main_face(self.detector, target), main_face(self.detector, enrolled)
        if face is None or other is None:
            return None
        return face, {r.name: r.embed(enrolled, other) for r in self.recognisers}

    def before(self, known: Known, treatment: Treatment | None = None) -> dict[str, float]:
        """Similarity of the unprotected photo, treated or as it is, to the enrolled one."""
        if treatment is None:
            return self._compare(known.target, known.face, known)
        treated = treatment(known.target, known.face)
        return self._compare(treated, near(self.detector.find(treated), known.face), known)

    def after(
        self, known: Known, saved: Pixels, name: str, treatment: Treatment | None = None
    ) -> dict[str, dict[str, float]]:
        """By condition, the similarity of what was saved to the enrolled photo, found and aligned again.

        Args:
            known: the pair.
            saved: the protected photo.
            name: of the task; the other detector's jitter depends on it alone.
            treatment: what is done to the published photo first.
        """
        found = {}
        for condition in CONDITIONS:
            photo = published(saved, condition)
            photo = photo if treatment is None else treatment(photo, known.face)
            face = near(self.detector.find(photo), known.face)
            if condition == "shared":
                face = off_centre(face, np.random.default_rng(int(sha256_hex(name.encode())[:8], 16)))
            found[condition] = self._compare(photo, face, known)
        return found

    def _compare(self, pixels: Pixels, face: Face, known: Known) -> dict[str, float]:
        return {r.name: r.similarity(r.embed(pixels, face), known.enrolled[r.name]) for r in self.recognisers}
