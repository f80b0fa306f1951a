"""The gate between attack and pool: budgets and strokes are kept, or the image is not issued."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from cloud_server.captcha.challenges.legibility import stroke_contrast, template_scores
from cloud_server.captcha.challenges.types import ALPHABET, Plane, Rendered

__all__ = ["LEAST_CONTRAST", "LEAST_MARGIN", "even_strokes", "pass_gate"]

# Of the clean image's stroke contrast.
LEAST_CONTRAST = 0.95
# Of the template observer: correlation with the character itself less that with any other one.
LEAST_MARGIN = 0.01
# A little more is aimed at, since rounding takes some back.
_AIM = 0.97
# As in the proxy: pixels at a stroke's edge count for neither side.
_INK = 0.8
# How often, and how much of, the attack around a character is taken back before the image is given up.
_REPAIRS, _TAKEN_BACK = 3, 0.4


def even_strokes(attacked: Plane, rendered: Rendered, *, levels: int) -> npt.NDArray[np.uint8]:
    """The attacked image with the grain inside its strokes damped until they stand out as before.

    What is damped is the strokes' own grain and what the attack added to it alike; a pixel moves no further
    than `levels` from the clean image.

    Args:
        attacked: grey, float32 H W in [0,1].
        rendered: before the attack.
        levels: cap, of 8 bits.

    Returns:
        Levels of 8 bits, uint8 H W.
    """
    clean = np.rint(255 * rendered.image)
    image = 255 * attacked
    aim = _AIM * stroke_contrast(rendered.image, rendered.ink)
    share = min(1.0, stroke_contrast(attacked, rendered.ink) / aim)
    if share < 1.0:
        inside = rendered.ink > _INK
        middle = float(image[inside].mean())
        weight = np.clip((rendered.ink - 0.5) / (_INK - 0.5), 0, 1)
        image = image + weight * (share - 1) * (image - middle)
    low, high = np.maximum(clean - levels, 0), np.minimum(clean + levels, 255)
    return np.asarray(np.clip(np.rint(image), low, high), np.uint8)


def pass_gate(attacked: Plane, rendered: Rendered, *, levels: int) -> tuple[npt.NDArray[np.uint8], bool]:
    """An attacked image as it may be issued, and whether it may.

    Where a character does not clearly look most like itself, the attack around it is taken back in parts.

    Args:
        attacked: grey, float32 H W in [0,1].
        rendered: before the attack.
        levels: cap, of 8 bits.
    """
    change = attacked - rendered.image
    image = even_strokes(attacked, rendered, levels=levels)
    wrong = np.flatnonzero(~_clear(image, rendered))
    for _ in range(_REPAIRS):
        if not wrong.size:
            break
        change = change * (1 - _TAKEN_BACK * _around(rendered.letters[wrong]))
        image = even_strokes(rendered.image + change, rendered, levels=levels)
        wrong = wrong[~_clear(image, rendered, wrong.tolist())]
    before = stroke_contrast(rendered.image, rendered.ink)
    even = stroke_contrast(image, rendered.ink) >= LEAST_CONTRAST * before
    return image, bool(even and not wrong.size)


def _clear(
    image: npt.NDArray[np.uint8], rendered: Rendered, places: Sequence[int] | None = None
) -> npt.NDArray[np.bool_]:
    """Whether each character looks more like itself than like any other one, and clearly so."""
    scores = template_scores(image, rendered, places=places)
    looked_at = range(len(rendered.text)) if places is None else places
    own = np.array([ALPHABET.index(rendered.text[place]) for place in looked_at])
    rows = np.arange(len(own))
    itself = scores[rows, own].copy()
    scores[rows, own] = -1.0
    return np.asarray(itself - scores.max(axis=1) >= LEAST_MARGIN)


def _around(letters: Plane) -> Plane:
    """1 on characters and a little around them, falling softly to 0."""
    box = cv2.dilate(letters.max(axis=0), np.ones((9, 9), np.uint8))
    return np.asarray(cv2.GaussianBlur(box, (0, 0), 2.0), np.float32)
