"""Rendering: characters in real fonts, each warped a little, dark and grained on a lighter grained ground."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cloud_server.captcha.challenges.fonts import Font, Mask, glyphs, installed_fonts
from cloud_server.captcha.challenges.types import ALPHABET, HEIGHT, WIDTH, Plane, Rendered

__all__ = ["Style", "draw_text", "render"]

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Style:
    """How challenges look. Ranges are drawn from anew for each image, or each character where it says so.

    Args:
        fonts: one is drawn for each image; empty for all that are installed.
        ground: lightness of the background, in levels.
        contrast: background less ink, in levels.
        fade: share of that contrast, for each character.
        cap_height: of capitals, in pixels, for each character.
        rotation: degrees each way, for each character.
        shear: each way, for each character.
        shift: pixels up and down, for each character.
        gap: pixels between characters, negative for overlap.
        grain: deviation of fine noise over the whole image, in levels.
        ink_grain: deviation of blotches within the ink, in levels.
        clouds: amplitude of slow shades of the background, in levels.
        wave: amplitude of a slow bending of lines, in pixels.
        arcs: thin lines across.
        blur: deviation of a final Gaussian blur, in pixels.
    """

    fonts: tuple[Font, ...] = ()
    ground: Range = (170, 225)
    contrast: Range = (56, 66)
    fade: Range = (0.9, 1.0)
    cap_height: Range = (31, 38)
    rotation: float = 9.0
    shear: float = 0.14
    shift: float = 3.0
    gap: Range = (1, 6)
    grain: Range = (9, 12)
    ink_grain: Range = (5, 9)
    clouds: float = 16.0
    wave: float = 1.8
    arcs: int = 0
    blur: Range = (0.3, 0.6)


def draw_text(
    rng: np.random.Generator, *, lengths: tuple[int, ...] = (5, 6), characters: str = ALPHABET
) -> str:
    """A random text of these characters; each of the lengths is as likely."""
    length = lengths[int(rng.integers(len(lengths)))]
    return "".join(characters[index] for index in rng.integers(len(characters), size=length))


def render(text: str, *, rng: np.random.Generator, style: Style = Style()) -> Rendered:
    """One challenge before the attack.

    Args:
        text: characters of the alphabet.
        rng: all that is random.
        style: how it looks.

    Raises:
        ValueError: for an empty text or a character that is not in the alphabet.
    """
    if not text or set(text) - set(ALPHABET):
        raise ValueError(f"text is {text!r}, expected characters of {ALPHABET}")
    fonts = style.fonts or installed_fonts()
    font = fonts[int(rng.integers(len(fonts)))]
    letters = _bend(_place([_warp(glyphs(font)[c], rng, style) for c in text], rng, style), rng, style)
    ink = letters.max(axis=0)
    shades = rng.uniform(*style.fade, size=len(text)).astype(np.float32)
    shaded = (letters * shades[:, None, None]).max(axis=0)
    return Rendered(text, _paint(shaded, rng, style), ink, letters, font.name)


def _warp(master: Mask, rng: np.random.Generator, style: Style) -> Plane:
    """A character turned, sheared and scaled; float32 in [0,1], cut to its box."""
    height, width = master.shape
    scale = rng.uniform(*style.cap_height) / height
    angle = np.deg2rad(rng.uniform(-style.rotation, style.rotation))
    shear = rng.uniform(-style.shear, style.shear)
    stretch = rng.uniform(0.92, 1.08)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = scale * turn @ np.array([[stretch, shear], [0.0, 1.0]])
    corners = matrix @ np.array([[0, width, 0, width], [0, 0, height, height]])
    low = corners.min(axis=1)
    size = np.ceil(corners.max(axis=1) - low).astype(int) + 2
    offset = 1 - low
    # Enlarged masters shrink a lot: blurring first keeps thin strokes whole.
    soft = cv2.GaussianBlur(master, (0, 0), 0.35 / scale)
    warped = cv2.warpAffine(soft, np.column_stack([matrix, offset]), (int(size[0]), int(size[1])))
    return np.asarray(warped, np.float32) / np.float32(255)


def _place(shapes: list[Plane], rng: np.random.Generator, style: Style) -> Plane:
    """Characters beside each other in the middle, K H W; smaller where they would not fit."""
    gaps = rng.uniform(*style.gap, size=len(shapes) - 1)
    room = WIDTH - 16
    shapes = _shrunk(shapes, room - gaps.sum())
    total = sum(shape.shape[1] for shape in shapes) + gaps.sum()
    spare = max(0.0, room - total)
    gaps = gaps + 0.6 * spare / len(shapes) if spare else gaps - (total - room) / max(1, len(gaps))
    total = sum(shape.shape[1] for shape in shapes) + gaps.sum()
    left = (WIDTH - total) / 2 + rng.uniform(-0.3, 0.3) * max(0.0, room - total)
    letters = np.zeros((len(shapes), HEIGHT, WIDTH), np.float32)
    for index, shape in enumerate(shapes):
        top = (HEIGHT - shape.shape[0]) / 2 + rng.uniform(-style.shift, style.shift)
        _paste(letters[index], shape, round(top), round(left))
        left += shape.shape[1] + (gaps[index] if index < len(gaps) else 0)
    return letters


def _shrunk(shapes: list[Plane], room: float) -> list[Plane]:
    """The same characters, all scaled alike where they are wider together than the room: none may collide.

    Never below six tenths; gaps that ask for more are squeezed.
    """
    share = max(0.6, room / sum(shape.shape[1] for shape in shapes))
    if share >= 1:
        return shapes
    return [
        np.asarray(cv2.resize(shape, None, fx=share, fy=share, interpolation=cv2.INTER_AREA), np.float32)
        for shape in shapes
    ]


def _paste(canvas: Plane, shape: Plane, top: int, left: int) -> None:
    height, width = shape.shape
    y, x = min(max(top, 0), HEIGHT - height), min(max(left, 0), WIDTH - width)
    canvas[y : y + height, x : x + width] = shape


def _bend(letters: Plane, rng: np.random.Generator, style: Style) -> Plane:
    if not style.wave:
        return letters
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    amplitudes = rng.uniform(0.4, 1.0, 2) * style.wave
    periods, phases = rng.uniform(60, 140, 2), rng.uniform(0, 2 * np.pi, 2)
    x_from = (x + amplitudes[0] * np.sin(2 * np.pi * y / periods[0] + phases[0])).astype(np.float32)
    y_from = (y + amplitudes[1] * np.sin(2 * np.pi * x / periods[1] + phases[1])).astype(np.float32)
    return np.stack([cv2.remap(plane, x_from, y_from, cv2.INTER_LINEAR) for plane in letters])


def _paint(ink: Plane, rng: np.random.Generator, style: Style) -> Plane:
    ground = rng.uniform(*style.ground) + _clouds(rng, 40, style.clouds)
    depth = rng.uniform(*style.contrast) + _clouds(rng, 5, rng.uniform(*style.ink_grain))
    grain = rng.normal(0, rng.uniform(*style.grain), (HEIGHT, WIDTH))
    painted = ground - depth * np.maximum(ink, _arcs(rng, style)) + grain
    blurred = cv2.GaussianBlur(painted.astype(np.float32), (0, 0), rng.uniform(*style.blur))
    return np.clip(blurred / 255, 0, 1).astype(np.float32)


def _clouds(rng: np.random.Generator, size: float, deviation: float) -> Plane:
    """Smooth noise of the given deviation whose blotches are `size` pixels wide."""
    rows, columns = int(np.ceil(HEIGHT / size)) + 2, int(np.ceil(WIDTH / size)) + 2
    coarse = rng.normal(0, 1, (rows, columns)).astype(np.float32)
    fine = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return deviation * fine


def _arcs(rng: np.random.Generator, style: Style) -> Plane:
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    for _ in range(style.arcs):
        x = np.linspace(-5, WIDTH + 5, 24)
        level, slope = rng.uniform(16, HEIGHT - 16), rng.uniform(-0.12, 0.12)
        y = (
            level
            + slope * (x - WIDTH / 2)
            + rng.uniform(3, 9) * np.sin(x / rng.uniform(25, 45) + rng.uniform(0, 6))
        )
        points = (np.stack([x, y], axis=1) * 16).astype(np.int32)
        cv2.polylines(canvas, [points], isClosed=False, color=255, thickness=1, lineType=cv2.LINE_AA, shift=4)
    return np.asarray(canvas, np.float32) / np.float32(255)
