"""What a cloud answers is advice: tried on the device's own loss, used as a start, and then taken out again.

A hint may be useless, hostile, or made to recognise the photo by. So

- it begins the attack only if that lowers the device's own loss more than what the bundle offers, and clearly
  more than noise of its own size: any change moves a face a little away from itself;
- it never takes more than a share of the budget;
- an answer that was made for this device alone is removed from the perturbation before the last steps. How
  much of it is left by then is read from a probe: the same answer with random signs, added beside it, which
  fades as the answer does and which nobody else knows. The device's own steps and a random step end the
  attack. So a pattern in an answer cannot be found in the published photo.

A dropped answer leaves the result as it would be without, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from shared.attack.budgets import Budget
from shared.faces.detect import Face
from shared.faces.frames import FRAMES, similarity_to_frame
from shared.levels.labels import Level

__all__ = [
    "HINT_SHARE",
    "Advice",
    "Answer",
    "Asks",
    "HintReport",
    "Start",
    "best_start",
    "lifted",
    "probe_of",
    "random_step",
    "without_trace",
]

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

# The share of the budget that a hint may begin with; the rest is for the attack to find.
HINT_SHARE = 0.3
# The last random step: so many levels, in this share of the numbers.
_DITHER_LEVELS, _DITHER_SHARE = 1.0, 0.1
# An answer must lower the loss by so much more than noise of its size does.
_BETTER_THAN_NOISE = 1.5


@dataclass(frozen=True, eq=False)
class Advice:
    """An answer: float32 3 112 112 in the frame 'arcface112', of any scale, and not believed yet.

    `seed` is of all randomness of a photo that takes it. The cloud must not know it.
    """

    direction: Floats
    seed: int


@dataclass(frozen=True)
class HintReport:
    """What became of asking a cloud about a photo.

    Args:
        level: at which it was asked.
        status: 'asked' until the device has tried the answer, then 'taken' or 'dropped'; 'not asked' when the
            privacy budget is spent; 'failed' when no answer came.
        note: why, for people.
        sent_bytes: of what was made from the photo.
        epsilon: of what was sent, 0 for nothing; None where no noise was on it.
    """

    level: Level
    status: Literal["asked", "taken", "dropped", "not asked", "failed"]
    note: str = ""
    sent_bytes: int = 0
    epsilon: float | None = 0.0


@dataclass(frozen=True)
class Answer:
    """What asking gave."""

    report: HintReport
    advice: Advice | None = None


class Asks(Protocol):
    """Asks a cloud about one face of a photo."""

    def ask(self, pixels: Pixels, face: Face) -> Answer:
        """The answer, or why there is none; never an error, since protection goes on without."""


@dataclass(frozen=True, eq=False)
class Start:
    """Where the attack begins, float32 1 3 H W, or None for its own random start.

    `answer` is the part of it that a cloud gave to this device alone, None for none.
    """

    delta: Floats | None = None
    answer: Floats | None = None


def lifted(image: Floats, landmarks: npt.NDArray[np.float64], size: tuple[int, int]) -> Floats:
    """An image of the frame 'arcface112', 3 112 112, on a canvas of H W with these landmarks: 1 3 H W."""
    warped = cv2.warpAffine(
        np.ascontiguousarray(image.transpose(1, 2, 0)),
        similarity_to_frame(landmarks, FRAMES["arcface112"]),
        (size[1], size[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    return np.ascontiguousarray(np.asarray(warped, np.float32).transpose(2, 0, 1)[None])


def best_start(
    canvas: Floats,
    universals: Sequence[Floats],
    budget: Budget,
    drop: Callable[[Floats], float],
    *,
    answer: Floats | None = None,
    noise: Floats | None = None,
) -> Start:
    """The start that lowers the device's own loss most.

    Args:
        canvas: the face, 1 3 H W.
        universals: those of the bundle, on the canvas.
        budget: of which a start takes `HINT_SHARE`.
        drop: by how much a perturbation lowers the similarity to the anchors.
        answer: a cloud's, on the canvas, of any scale.
        noise: what an answer has to beat, on the canvas; given with it.
    """
    best, score = Start(), 0.0
    for universal in universals:
        delta = _share(universal, canvas, budget)
        if (found := drop(delta)) > score:
            best, score = Start(delta), found
    if answer is None or noise is None:
        return best
    plain = best.delta
    own, other = (_share(_as_large_as(image, canvas, budget), canvas, budget) for image in (answer, noise))
    if drop(own) <= _BETTER_THAN_NOISE * drop(other):
        return best
    tries = [Start(own, own)]
    if plain is not None:
        half = np.float32(np.sqrt(0.5))
        tries.append(Start((plain + own) * half, own * half))
    for start in tries:
        if start.delta is not None and (found := drop(start.delta)) > score:
            best, score = start, found
    return best


def probe_of(answer: Floats, rng: np.random.Generator, *, grey: bool) -> Floats:
    """The answer with random signs: as large everywhere, and known to this device alone."""
    shape = (1, 1, *answer.shape[2:]) if grey else answer.shape
    return np.asarray(answer * np.where(rng.random(shape) < 0.5, np.float32(-1), np.float32(1)), np.float32)


def without_trace(delta: Floats, answer: Floats, probe: Floats) -> Floats:
    """A perturbation that began with answer and probe, without what is left of either."""
    energy = float(np.vdot(probe, probe))
    left = np.float32(np.vdot(delta, probe) / energy) if energy > 0 else np.float32(0)
    return np.asarray(delta - left * (answer + probe), np.float32)


def random_step(delta: Floats, rng: np.random.Generator, *, grey: bool) -> Floats:
    """A step of one level in a tenth of the numbers, drawn here."""
    shape = (1, 1, *delta.shape[2:]) if grey else delta.shape
    signs = np.where(rng.random(shape) < 0.5, np.float32(-1), np.float32(1))
    step = np.where(rng.random(shape) < _DITHER_SHARE, signs * np.float32(_DITHER_LEVELS / 255.0), 0.0)
    return np.asarray(delta + step, np.float32)


def _share(image: Floats, canvas: Floats, budget: Budget) -> Floats:
    return np.asarray(HINT_SHARE * np.asarray(budget.project(image, canvas), np.float32), np.float32)


def _as_large_as(answer: Floats, canvas: Floats, budget: Budget) -> Floats:
    """The answer scaled so that its mean square fills the cap; a direction has no scale of its own."""
    size = float(np.sqrt(np.mean(np.square(answer))))
    if size <= 0.0:
        return answer
    return np.asarray(answer * np.float32(budget.linf_radius(canvas) / size), np.float32)
