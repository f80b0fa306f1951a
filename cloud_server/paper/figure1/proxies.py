"""Proxies for the human side: a template observer and stroke contrast. Neither is human accuracy.

The observer knows font, size and place of each image, which people do not, and adds up all pixels as no eye
does; it does not tire. It says whether the shape of the letter is still in the coarse image, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cloud_server.paper.figure1.letters import Geometry, cover
from cloud_server.paper.figure1.settings import LETTERS, SIDE

__all__ = ["Observer", "stroke_contrast"]

Floats = npt.NDArray[np.float32]
Levels = npt.NDArray[np.uint8]
_FINE = 4
# Share of a pixel that is ink in the glyph, and at most in the background.
_INK, _GROUND = 0.5, 0.02


@dataclass(frozen=True, eq=False)
class Observer:
    """Which letter's rendering a low-passed image correlates with best.

    Args:
        templates: low-passed ink of each letter, without mean and of unit length, float32 N C S*S.
        widths: of a stroke of each image, in pixels; images are blurred by half of it.
    """

    templates: Floats
    widths: npt.NDArray[np.float64]

    @classmethod
    def of(cls, geometries: tuple[Geometry, ...]) -> Observer:
        """The observer of images that are drawn so."""
        templates = np.empty((len(geometries), len(LETTERS), SIDE * SIDE), np.float32)
        widths = np.empty(len(geometries))
        for index, geometry in enumerate(geometries):
            covers = np.stack([cover(geometry, letter) for letter in range(len(LETTERS))])
            # The font's stroke and not the letter's: that would tell which letter it is.
            widths[index] = np.mean([_stroke_width(covered) for covered in covers])
            templates[index] = _unit(np.stack([_low_pass(covered, widths[index]) for covered in covers]))
        return cls(templates, widths)

    def read(self, images: Levels) -> npt.NDArray[np.intp]:
        """The letters' indices (N) of images uint8 N 1 S S, dark ink on a light ground."""
        soft = [
            _low_pass(image[0].astype(np.float32), width)
            for image, width in zip(images, self.widths, strict=True)
        ]
        return np.asarray(np.einsum("nci,ni->nc", self.templates, -_unit(np.stack(soft))).argmax(axis=1))


def stroke_contrast(images: Levels, covers: Floats) -> Floats:
    """(mean background - mean ink) / deviation inside the glyph, of each image (N).

    Args:
        images: uint8 N 1 S S.
        covers: the share of each pixel that its letter covers, N S S.
    """
    found = np.empty(len(images), np.float32)
    for index, (image, covered) in enumerate(zip(images[:, 0], covers, strict=True)):
        # Thin strokes cover no pixel by half: the darkest pixels are the glyph then.
        ink = image[covered > min(_INK, 0.8 * float(covered.max()))].astype(np.float64)
        found[index] = (image[covered < _GROUND].mean() - ink.mean()) / max(float(ink.std()), 1.0)
    return found


def _stroke_width(covered: Floats) -> float:
    """Across a bar the distance to its edge is a quarter of its width in the mean."""
    fine = cv2.resize(covered, None, fx=_FINE, fy=_FINE, interpolation=cv2.INTER_LINEAR)
    inside = (fine > 0.5 * float(fine.max())).astype(np.uint8)
    distances = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[inside > 0]
    return max(1.0, 4.0 * float(distances.mean()) / _FINE)


def _low_pass(image: Floats, width: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), width / 2), np.float32)


def _unit(images: Floats) -> Floats:
    flat = images.reshape(len(images), -1)
    centred = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6), np.float32)
