"""Outlines on the face mesh: numbers of its points, as in MediaPipe's canonical face model.

'left' is left in the picture of a face that looks at the viewer.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EYES", "FACE", "LIPS_INSIDE", "LIPS_OUTSIDE", "EyeOutline"]


@dataclass(frozen=True)
class EyeOutline:
    """One eye: lash lines from the outer corner to the inner one, the crease, the brow, the cheek below."""

    upper: tuple[int, ...]
    lower: tuple[int, ...]
    crease: tuple[int, ...]
    brow_below: tuple[int, ...]
    brow: tuple[int, ...]
    cheekbone: int
    cheek: int
    temple: int

    @property
    def outer(self) -> int:
        """The outer corner."""
        return self.upper[0]


_LEFT = EyeOutline(
    upper=(33, 246, 161, 160, 159, 158, 157, 173, 133),
    lower=(33, 7, 163, 144, 145, 153, 154, 155, 133),
    crease=(130, 247, 30, 29, 27, 28, 56, 190, 243),
    brow_below=(113, 225, 224, 223, 222, 221, 189),
    brow=(70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
    cheekbone=117,
    cheek=205,
    temple=227,
)
_RIGHT = EyeOutline(
    upper=(263, 466, 388, 387, 386, 385, 384, 398, 362),
    lower=(263, 249, 390, 373, 374, 380, 381, 382, 362),
    crease=(359, 467, 260, 259, 257, 258, 286, 414, 463),
    brow_below=(342, 445, 444, 443, 442, 441, 413),
    brow=(300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
    cheekbone=346,
    cheek=425,
    temple=447,
)
EYES: tuple[EyeOutline, EyeOutline] = (_LEFT, _RIGHT)

LIPS_OUTSIDE: tuple[int, ...] = (
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146,
)  # fmt: skip
LIPS_INSIDE: tuple[int, ...] = (
    78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95,
)  # fmt: skip
FACE: tuple[int, ...] = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148,
    176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
