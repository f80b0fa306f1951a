"""What a rendered and an attacked challenge are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["ALPHABET", "HEIGHT", "WIDTH", "Made", "Plane", "Rendered"]

Plane: TypeAlias = npt.NDArray[np.float32]

# No pair of these is confused: none of 0OQ 1I B8 5S 2Z 6G, no U beside V.
ALPHABET = "ACDEFHJKLMNPRTVWXY3479"
# What challenges draw from. In blind readings of attacked images K was taken for X, Y for V, F for E or P, R
# for H, H for 9, a J with serifs for an I, 4 for A, 7 for T and 3 for 9, so one of each is left.
DRAWN = "ACDEHLMNPTVWX"
# Pixels. Six characters have more than 40 each.
WIDTH, HEIGHT = 256, 64


@dataclass(frozen=True)
class Rendered:
    """One image before the attack.

    Args:
        text: what it shows, upper case.
        image: grey, float32 H W in [0,1]; dark ink on a light ground.
        ink: share of each pixel that any glyph covers, float32 H W in [0,1].
        letters: the same for each character, float32 K H W.
        font: the font's name.
    """

    text: str
    image: Plane
    ink: Plane
    letters: Plane
    font: str


@dataclass(frozen=True)
class Made:
    """One image before and after the attack.

    Args:
        rendered: before.
        attacked: grey levels of 8 bits, uint8 H W; what a visitor would see.
        passed: whether the gate lets it pass, as legible to people and not to the readers attacked; what does
            not pass is never issued.
    """

    rendered: Rendered
    attacked: npt.NDArray[np.uint8]
    passed: bool
