"""The gate between attack and pool: budgets and strokes are kept, or the image is not issued."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cloud_server.captcha.challenges.legibility import stroke_contrast, template_right
from cloud_server.captcha.challenges.types import Plane, Rendered

__all__ = ["LEAST_CONTRAST", "even_strokes", "is_legible"]

# Of the clean image's stroke contrast.
LEAST_CONTRAST = 0.95
# A little more is aimed at, since rounding takes some back.
_AIM = 0.97
# As in the proxy: pixels at a stroke's edge count for neither side.
_INK = 0.8


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


def is_legible(attacked: npt.NDArray[np.uint8], rendered: Rendered) -> bool:
    """Whether strokes stand out as before and every character still looks most like itself."""
    before = stroke_contrast(rendered.image, rendered.ink)
    if stroke_contrast(attacked, rendered.ink) < LEAST_CONTRAST * before:
        return False
    return bool(template_right(attacked, rendered).all())
