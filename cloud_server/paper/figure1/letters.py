"""The letters: 26 capitals in several fonts, each turned, moved and lit a little, with and without noise.

The paper's set is a 'modified Alphabet dataset' of letters with random noise, and it says no more of it:
fonts, size, ground, ink and noise are this project's choice.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from cloud_server.captcha.challenges.fonts import Font, installed_fonts
from cloud_server.paper.figure1.settings import LETTERS, SIDE

__all__ = ["Geometry", "Letters", "Split", "cover", "make_letters", "to_levels", "with_noise"]

Floats = npt.NDArray[np.float32]
Levels = npt.NDArray[np.uint8]
Split = Literal["train", "test"]

# Pixels of a capital's height in the masters that letters are shrunk from.
_MASTER = 96
_STREAMS: dict[str, int] = {"train": 0, "test": 1, "noise-train": 2, "noise-test": 3}


@dataclass(frozen=True)
class Geometry:
    """How one image is drawn: all but its letter.

    Args:
        font: its face.
        height: of capitals, in pixels.
        angle: in radians.
        shear: sideways, pixels a pixel.
        shift: right and down from the middle, in pixels.
        ground: lightness of the background, in [0,1].
        ink: lightness of the letter, in [0,1].
    """

    font: Font
    height: float
    angle: float
    shear: float
    shift: tuple[float, float]
    ground: float
    ink: float


@dataclass(frozen=True, eq=False)
class Letters:
    """Images without noise, letter by letter.

    Args:
        images: float32 N 1 S S in [0,1].
        labels: index of the letter, int64 N.
        geometries: one an image.
        split: which part of the set.
    """

    images: Floats
    labels: npt.NDArray[np.int64]
    geometries: tuple[Geometry, ...]
    split: Split

    def first(self, per_letter: int) -> npt.NDArray[np.intp]:
        """Indices of the first so many images of each letter, or of all."""
        count = len(self.labels) // len(LETTERS)
        return np.flatnonzero(np.arange(len(self.labels)) % count < per_letter)


def make_letters(split: Split, per_letter: int, *, seed: int) -> Letters:
    """A part of the set; an image depends on seed, part, letter and its number alone.

    Args:
        split: which part.
        per_letter: images of each letter.
        seed: of the set.

    Raises:
        GoodnoiseError: PRECONDITION when no font is installed.
    """
    fonts = installed_fonts()
    images = np.empty((len(LETTERS) * per_letter, 1, SIDE, SIDE), np.float32)
    geometries = []
    for index in range(len(images)):
        letter, number = divmod(index, per_letter)
        geometry = _geometry(np.random.default_rng([seed, _STREAMS[split], letter, number]), fonts)
        images[index, 0] = _painted(cover(geometry, letter), geometry)
        geometries.append(geometry)
    labels = np.repeat(np.arange(len(LETTERS)), per_letter)
    return Letters(images, labels, tuple(geometries), split)


def with_noise(letters: Letters, deviations: float | tuple[float, float], *, seed: int) -> Levels:
    """The images with Gaussian noise, as 8-bit levels N 1 S S.

    Args:
        letters: without noise.
        deviations: of the noise, or a range to draw each image's from.
        seed: of the set.
    """
    low, high = (deviations, deviations) if isinstance(deviations, int | float) else deviations
    noisy = np.empty_like(letters.images)
    for index, image in enumerate(letters.images):
        rng = np.random.default_rng([seed, _STREAMS[f"noise-{letters.split}"], index])
        deviation = rng.uniform(low, high)
        noisy[index] = image + deviation * rng.standard_normal(image.shape)
    return to_levels(noisy)


def to_levels(images: npt.NDArray[np.floating]) -> Levels:
    """Images in [0,1] as levels of 8 bits; what lies outside is clipped."""
    return np.asarray(np.rint(np.clip(images, 0, 1) * 255), np.uint8)


def cover(geometry: Geometry, letter: int) -> Floats:
    """The share of each pixel that the letter covers, float32 S S."""
    path = geometry.font.path
    if path is None:
        raise ValueError(f"font {geometry.font.name} is not installed")
    master = _master(path, LETTERS[letter])
    scale = geometry.height / _MASTER
    cosine, sine = np.cos(geometry.angle), np.sin(geometry.angle)
    matrix = scale * np.array([[cosine, -sine], [sine, cosine]]) @ np.array([[1.0, geometry.shear], [0, 1.0]])
    middle = np.array([master.shape[1], master.shape[0]]) / 2
    offset = (SIDE - 1) / 2 + np.array(geometry.shift) - matrix @ (middle - 0.5)
    # Blurred before it shrinks, so that thin strokes stay whole.
    soft = cv2.GaussianBlur(master, (0, 0), 0.4 / scale)
    warped = cv2.warpAffine(soft, np.column_stack([matrix, offset]), (SIDE, SIDE))
    return np.asarray(warped, np.float32) / np.float32(255)


def _painted(covered: Floats, geometry: Geometry) -> Floats:
    return (geometry.ground - (geometry.ground - geometry.ink) * covered).astype(np.float32)


def _geometry(rng: np.random.Generator, fonts: Sequence[Font]) -> Geometry:
    right, down = rng.uniform(-2, 2, 2)
    return Geometry(
        font=fonts[int(rng.integers(len(fonts)))],
        height=rng.uniform(15, 19),
        angle=np.deg2rad(rng.uniform(-8, 8)),
        shear=rng.uniform(-0.1, 0.1),
        shift=(float(right), float(down)),
        ground=rng.uniform(0.75, 0.95),
        ink=rng.uniform(0.05, 0.25),
    )


@functools.lru_cache(maxsize=1024)
def _master(path: Path, letter: str) -> Levels:
    face = ImageFont.truetype(path, _MASTER)
    top, bottom = face.getbbox("H")[1], face.getbbox("H")[3]
    face = ImageFont.truetype(path, round(_MASTER * _MASTER / (bottom - top)))
    canvas = Image.new("L", (4 * _MASTER, 3 * _MASTER))
    ImageDraw.Draw(canvas).text((_MASTER, 2 * _MASTER), letter, fill=255, font=face, anchor="ls")
    pixels = np.asarray(canvas)
    rows, columns = np.flatnonzero(pixels.max(axis=1)), np.flatnonzero(pixels.max(axis=0))
    return np.pad(pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 8)
