"""Makeup in colour on a photo: lips, eyeshadow, liner, brows and blush, each a soft mask on the face mesh.

The paper transfers makeup with a network (PSGAN); this renders it, so that what changed is known.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from cloud_server.paper.canvas import Canvas
from cloud_server.paper.mesh import EYES, FACE, LIPS_INSIDE, LIPS_OUTSIDE, EyeOutline

__all__ = ["STYLES", "Style", "made_up", "style_of"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Rgb = tuple[int, int, int]

# How much of the light and shade below shows through: pigment on skin, not paint over it.
_LIP_RELIEF, _SKIN_RELIEF = 0.9, 1.0


@dataclass(frozen=True)
class Style:
    """A look. Colours are RGB levels, strengths in [0,1].

    Args:
        name: for reports.
        lips: colour of the lipstick.
        shadow: colour of the eyeshadow.
        blush: colour of the blush.
        lip_strength: of the lipstick.
        shadow_strength: of the eyeshadow at the lashes; it fades towards the brow.
        liner_strength: of the dark line along the lashes.
        brow_strength: of the darkened brow.
        blush_strength: of the blush in its middle.
        wing: length of the liner beyond the eye's outer corner, in widths of the eye.
    """

    name: str
    lips: Rgb
    shadow: Rgb
    blush: Rgb
    lip_strength: float = 0.75
    shadow_strength: float = 0.5
    liner_strength: float = 0.75
    brow_strength: float = 0.25
    blush_strength: float = 0.35
    wing: float = 0.12

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_strength") and not 0.0 <= value <= 1.0:
                raise ValueError(f"{self.name}: {field.name} must be in [0,1], got {value}")


STYLES: tuple[Style, ...] = (
    Style("natural", (176, 84, 84), (150, 108, 88), (214, 120, 112), 0.5, 0.4, 0.5, 0.15, 0.28, 0.04),
    Style("evening", (150, 18, 42), (74, 58, 66), (200, 96, 98), 0.85, 0.6, 0.9, 0.35, 0.32, 0.16),
    Style("rose", (206, 70, 112), (196, 122, 140), (232, 120, 136), 0.7, 0.5, 0.6, 0.2, 0.34, 0.08),
    Style("coral", (224, 84, 64), (178, 124, 74), (234, 128, 96), 0.7, 0.5, 0.65, 0.2, 0.33, 0.1),
    Style("plum", (112, 30, 72), (112, 70, 122), (190, 92, 116), 0.8, 0.55, 0.8, 0.3, 0.35, 0.14),
)

_LINER: Rgb = (28, 20, 20)
_BROW: Rgb = (58, 42, 36)


def style_of(number: int, *, seed: int) -> Style:
    """One of the styles, drawn for this number."""
    return STYLES[int(np.random.default_rng([seed, number]).integers(len(STYLES)))]


def made_up(photo: Pixels, points: npt.ArrayLike, style: Style) -> Pixels:
    """The photo with makeup on one face; pixels away from lips, eyes, brows and cheeks keep their values.

    Args:
        photo: uint8 H W 3, RGB; not changed.
        points: the face mesh, 468 2, photo pixels.
        style: the look.

    Returns:
        uint8 H W 3. The same input gives the same pixels.
    """
    mesh = np.asarray(points, np.float64)
    if mesh.shape != (468, 2) or not np.isfinite(mesh).all():
        raise ValueError(f"points: expected 468 finite (x, y) pairs, got shape {mesh.shape}")
    canvas = Canvas.around(photo, mesh)
    if canvas is None:
        return photo.copy()
    _blush(canvas, mesh, style)
    for eye in EYES:
        _shadow(canvas, mesh, eye, style)
        _brow(canvas, mesh, eye, style)
        _liner(canvas, mesh, eye, style)
    _lipstick(canvas, mesh, style)
    return canvas.onto(photo)


def _lipstick(canvas: Canvas, mesh: Floats, style: Style) -> None:
    size = float(np.hypot(*(mesh[291] - mesh[61])))
    lips = canvas.polygon(mesh[list(LIPS_OUTSIDE)]) - canvas.polygon(mesh[list(LIPS_INSIDE)])
    mask = canvas.soft(np.clip(lips, 0.0, 1.0), 0.02 * size)
    canvas.tint(mask * style.lip_strength, style.lips, relief=_LIP_RELIEF)


def _eye_width(mesh: Floats, eye: EyeOutline) -> float:
    return float(np.hypot(*(mesh[eye.upper[0]] - mesh[eye.upper[-1]])))


def _opening(canvas: Canvas, mesh: Floats, eye: EyeOutline) -> Floats:
    return canvas.polygon(mesh[[*eye.upper, *eye.lower[-2:0:-1]]])


def _shadow(canvas: Canvas, mesh: Floats, eye: EyeOutline, style: Style) -> None:
    """Strongest between lashes and crease, fading towards the brow; none on the eye itself."""
    width = _eye_width(mesh, eye)
    upper, crease = mesh[list(eye.upper)], mesh[list(eye.crease)]
    fade = crease + 0.35 * (_resampled(mesh[list(eye.brow_below)], len(crease)) - crease)
    lid = canvas.polygon(np.concatenate([upper, crease[::-1]]))
    above = canvas.polygon(np.concatenate([upper, fade[::-1]]))
    mask = canvas.soft(0.6 * lid + 0.4 * above, 0.07 * width)
    mask = mask * (1.0 - canvas.soft(_opening(canvas, mesh, eye), 0.015 * width))
    canvas.tint(mask * style.shadow_strength, style.shadow, relief=_SKIN_RELIEF)


def _liner(canvas: Canvas, mesh: Floats, eye: EyeOutline, style: Style) -> None:
    """Along the upper lashes, thicker towards the outer corner, with a wing; thin below."""
    width = _eye_width(mesh, eye)
    upper = mesh[list(eye.upper)]
    corner, inner = upper[0], upper[-1]
    outwards = (corner - inner) / max(float(np.hypot(*(corner - inner))), 1e-6)
    lift = (mesh[eye.brow_below[0]] - corner) * 0.35
    tip = corner + style.wing * width * outwards + style.wing * lift
    line = canvas.line([tip, *upper[:5]], 0.055 * width) + canvas.line(upper[3:], 0.03 * width)
    below = canvas.line(mesh[list(eye.lower[:5])], 0.02 * width)
    mask = canvas.soft(np.clip(line + 0.4 * below, 0.0, 1.0), 0.022 * width)
    canvas.tint(mask * style.liner_strength, _LINER, relief=0.3)


def _brow(canvas: Canvas, mesh: Floats, eye: EyeOutline, style: Style) -> None:
    width = _eye_width(mesh, eye)
    mask = canvas.soft(canvas.polygon(mesh[list(eye.brow)]), 0.05 * width)
    canvas.tint(mask * style.brow_strength, _BROW, relief=0.9)


def _blush(canvas: Canvas, mesh: Floats, style: Style) -> None:
    """An oval along each cheekbone, kept inside the face and off nose, eyes and mouth."""
    inside = canvas.soft(canvas.polygon(mesh[list(FACE)]), 0.02 * float(np.hypot(*(mesh[152] - mesh[10]))))
    for eye in EYES:
        apple, high = mesh[eye.cheek], mesh[eye.temple]
        middle = 0.45 * mesh[eye.cheekbone] + 0.55 * apple
        long = 0.85 * float(np.hypot(*(high - apple)))
        mask = canvas.oval(middle, high - apple, long, 0.6 * long)
        canvas.tint(mask * inside * style.blush_strength, style.blush, relief=_SKIN_RELIEF)


def _resampled(line: Floats, count: int) -> Floats:
    at, to = np.linspace(0, 1, len(line)), np.linspace(0, 1, count)
    return np.column_stack([np.interp(to, at, line[:, axis]) for axis in (0, 1)])
