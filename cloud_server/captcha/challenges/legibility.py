"""Proxies of legibility, under that name: no figure here says how well people read.

*Stroke contrast* asks whether strokes still stand out from the ground. The *template observer* asks whether
each character still looks most like itself: it knows font and place of a character, not which one it is, and
compares what is left after a low-pass with all characters of the alphabet, turned, sheared and shifted.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from cloud_server.captcha.challenges.fonts import FONTS, Font, Mask, glyphs
from cloud_server.captcha.challenges.types import ALPHABET, Plane, Rendered

__all__ = [
    "Bank",
    "bank_of",
    "stroke_contrast",
    "stroke_contrasts",
    "stroke_width",
    "template_right",
    "template_scores",
]

Grey: TypeAlias = npt.NDArray[np.uint8] | Plane
_GROUND, _INK = 0.05, 0.8
# Templates are small: characters 16 samples high on 22 by 30, after a low-pass nothing finer is left.
_TALL, _ROWS, _COLUMNS, _SHIFT = 16, 22, 30, 2
_TURNS = np.deg2rad(np.array([-12.0, -6.0, 0.0, 6.0, 12.0]))
_SHEARS = (-0.12, 0.0, 0.12)


def stroke_width(ink: Plane) -> float:
    """Mean width of strokes in pixels; in a bar of width w the mean distance to its border is w / 4.

    Args:
        ink: share of ink, float32 H W in [0,1].
    """
    mask = (ink > 0.5).astype(np.uint8)
    if not mask.any():
        return 0.0
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # To the border, half a pixel nearer than the next pixel outside.
    return 4 * (float(distance[mask > 0].mean()) - 0.5)


def stroke_contrast(image: Grey, ink: Plane) -> float:
    """(mean of the background - mean of the ink) / deviation inside the glyphs, over the whole image.

    Args:
        image: grey H W, levels or [0,1]; the scale cancels.
        ink: share of ink, float32 H W in [0,1]; pixels at a stroke's edge count for neither side.

    Raises:
        ValueError: where there is no ink or no background.
    """
    inside, outside = ink > _INK, ink < _GROUND
    if not inside.any() or not outside.any():
        raise ValueError("ink covers nothing or everything, expected strokes on a ground")
    return _contrast(image, inside, outside)


def stroke_contrasts(image: Grey, letters: Plane) -> npt.NDArray[np.float64]:
    """The same for each character against the ground around it, K. A faint character does not hide in a mean.

    Args:
        image: grey H W, levels or [0,1].
        letters: share of ink of each character, float32 K H W.
    """
    ground = letters.max(axis=0) < _GROUND
    found = np.empty(len(letters))
    for index, letter in enumerate(letters):
        left, top, width, height = _box(letter)
        near = (slice(max(0, top - 6), top + height + 6), slice(max(0, left - 6), left + width + 6))
        found[index] = _contrast(image[near], letter[near] > _INK, ground[near])
    return found


def _contrast(image: Grey, inside: npt.NDArray[np.bool_], outside: npt.NDArray[np.bool_]) -> float:
    ink = image[inside].astype(np.float64)
    if not ink.size or not outside.any():
        return 0.0
    deviation = max(float(ink.std()), 1e-6)
    return (float(image[outside].mean(dtype=np.float64)) - float(ink.mean())) / deviation


@dataclass(frozen=True)
class Bank:
    """Templates of one font, each of mean 0 and length 1.

    Args:
        templates: float32 A*V D, the variants of a character beside each other.
        variants: V.
    """

    templates: Plane
    variants: int


@functools.lru_cache(maxsize=64)
def bank_of(font: str) -> Bank:
    """The templates of a font by its name (A = the alphabet; V = turns times shears).

    Raises:
        ValueError: for a name that no font has.
    """
    return Bank(_templates(_font(font)), len(_TURNS) * len(_SHEARS))


def _font(name: str) -> Font:
    found = [font for font in FONTS if font.name == name]
    if not found:
        raise ValueError(f"font is {name!r}, expected one of {', '.join(font.name for font in FONTS)}")
    return found[0]


def _templates(font: Font) -> Plane:
    masters = glyphs(font)
    rows = [
        _template(masters[character], float(turn), shear)
        for character in ALPHABET
        for turn in _TURNS
        for shear in _SHEARS
    ]
    return np.stack(rows)


def _template(master: Mask, turn: float, shear: float) -> Plane:
    """One variant, as high as all others, in the middle of its canvas."""
    height, width = master.shape
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = rotation @ np.array([[1.0, shear], [0.0, 1.0]])
    room = 3 * max(height, width)
    middle = np.array([room / 2, room / 2]) - matrix @ np.array([width / 2, height / 2])
    turned = np.asarray(cv2.warpAffine(master, np.column_stack([matrix, middle]), (room, room)), np.float32)
    row: Plane = _normal(-_window(turned, _box(turned), soft=0.0, margin=0).reshape(1, -1))[0]
    return row


def _box(letter: Plane) -> tuple[int, int, int, int]:
    """Left, top, width and height of what is more than half covered."""
    half = letter.max() / 2
    rows, columns = np.flatnonzero(letter.max(axis=1) > half), np.flatnonzero(letter.max(axis=0) > half)
    if not rows.size or not columns.size:
        raise ValueError("a character has no ink, expected the planes of a rendered challenge")
    return int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


def _window(plane: Plane, box: tuple[int, int, int, int], *, soft: float, margin: int) -> Plane:
    """What is around a box, scaled so that the box is `_TALL` high, low-passed; `margin` samples wider."""
    left, top, width, height = box
    scale = _TALL / height
    size = (_COLUMNS + 2 * margin, _ROWS + 2 * margin)
    offset = np.array(size) / 2 - scale * np.array([left + width / 2, top + height / 2])
    # Blurring before shrinking, so that nothing folds back; half a sample at least.
    smooth = cv2.GaussianBlur(plane, (0, 0), max(soft, 0.5 / scale))
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
    return np.asarray(cv2.warpAffine(smooth, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _normal(rows: Plane) -> Plane:
    centred = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6), np.float32)


def template_scores(
    image: Grey, rendered: Rendered, bank: Bank | None = None, *, places: Sequence[int] | None = None
) -> Plane:
    """How much each character looks like each of the alphabet: normalised correlation, float32 K A in [-1,1].

    The low-pass is a Gaussian whose two deviations are half a stroke's width. Neighbours are painted over
    with the ground, since they overlap the window; the place of a character is known to the observer.

    Args:
        image: grey H W, levels or [0,1]: the clean or the attacked one.
        rendered: says where the characters stand.
        bank: of the same font; made when not given.
        places: of the characters that are looked at, K of them; None for all.
    """
    bank = bank or bank_of(rendered.font)
    soft = stroke_width(rendered.ink) / 4
    plane = image.astype(np.float32)
    ground = float(plane[rendered.ink < _GROUND].mean())
    patches = [
        _patches(_alone(plane, rendered.letters, index, ground), _box(rendered.letters[index]), soft)
        for index in (range(len(rendered.letters)) if places is None else places)
    ]
    correlation = _normal(np.concatenate(patches)) @ bank.templates.T
    by_character = correlation.reshape(len(patches), -1, len(ALPHABET), bank.variants)
    return np.asarray(by_character.max(axis=(1, 3)), np.float32)


def _alone(plane: Plane, letters: Plane, index: int, ground: float) -> Plane:
    others = np.delete(letters, index, axis=0).max(axis=0, initial=0.0)
    return np.where((others > _GROUND) & (letters[index] < _GROUND), np.float32(ground), plane)


def _patches(plane: Plane, box: tuple[int, int, int, int], soft: float) -> Plane:
    wide = _window(plane, box, soft=soft, margin=_SHIFT)
    views = np.lib.stride_tricks.sliding_window_view(wide, (_ROWS, _COLUMNS))
    return np.asarray(views.reshape(-1, _ROWS * _COLUMNS))


def template_right(
    image: Grey, rendered: Rendered, bank: Bank | None = None, *, places: Sequence[int] | None = None
) -> npt.NDArray[np.bool_]:
    """Whether each character looks most like itself, K; arguments as of `template_scores`."""
    best = template_scores(image, rendered, bank, places=places).argmax(axis=1)
    text = rendered.text if places is None else [rendered.text[place] for place in places]
    return np.asarray(best == np.array([ALPHABET.index(character) for character in text]))
