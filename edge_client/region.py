"""The part of a photo that one face needs: cut out, at most so fine, and put back at full resolution."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shared.faces.detect import Face
from shared.faces.frames import FRAMES, similarity_to_frame

__all__ = ["FINEST", "Region", "face_region", "visible_box"]

# A canvas is at most this many times as fine as the 112-pixel frame. A perturbation finer than that is
# averaged away when a recogniser crops the face, and costs time.
FINEST = 2.0
# How far around the frame's square the canvas reaches, as a share of the square's side: room for jitter.
_ROOM = 0.12


@dataclass(frozen=True)
class Region:
    """A window of the photo (left, top, right, bottom), its canvas, and canvas pixels over photo pixels."""

    window: tuple[int, int, int, int]
    factor: tuple[float, float]
    size: tuple[int, int]  # canvas height, width
    face: Face

    def part(self, photo: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The window at the photo's own resolution, a view of uint8 h w 3."""
        x0, y0, x1, y1 = self.window
        return photo[y0:y1, x0:x1]

    def pixels(self, photo: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The canvas, uint8 H W 3, from a photo uint8 H W 3."""
        part = self.part(photo)
        if self.factor == (1.0, 1.0):
            return part
        shrunk = cv2.resize(part, (self.size[1], self.size[0]), interpolation=cv2.INTER_AREA)
        return np.asarray(shrunk, np.uint8)

    def cut(self, photo: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The canvas, float32 1 3 H W in [0,1], from a photo uint8 H W 3."""
        part = self.pixels(photo)
        return np.ascontiguousarray(part.transpose(2, 0, 1)[None], dtype=np.float32) / np.float32(255.0)

    def landmarks(self) -> npt.NDArray[np.float64]:
        """The face's five points on the canvas, shape 5 2."""
        return self.on_canvas(self.face.points())

    def on_canvas(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Photo coordinates to canvas coordinates, shape n 2."""
        factor = np.array(self.factor)
        return np.asarray((points - np.array(self.window[:2]) + 0.5) * factor - 0.5)

    def box(self) -> tuple[int, int, int, int]:
        """The face's box on the canvas, cut to it: left, top, right, bottom."""
        left, top, width, height = self.face.box
        corners = self.on_canvas(np.array([[left, top], [left + width, top + height]]))
        (x0, y0), (x1, y1) = np.round(corners).astype(int)
        return _cut_to((x0, y0, x1, y1), self.size)

    def lift(self, delta: npt.NDArray[np.float32], cap: float) -> npt.NDArray[np.float32]:
        """A perturbation of the canvas at the photo's resolution.

        Args:
            delta: float32 1 3 H W, in [-1,1].
            cap: largest absolute value allowed, in [0,1]; interpolation may overshoot it.

        Returns:
            float32 h w 3 for the window, in levels of 8 bits, not rounded.
        """
        levels = delta[0].transpose(1, 2, 0) * np.float32(255.0)
        if self.factor != (1.0, 1.0):
            x0, y0, x1, y1 = self.window
            levels = cv2.resize(levels, (x1 - x0, y1 - y0), interpolation=cv2.INTER_CUBIC)
        bound = np.float32(cap * 255.0)
        return np.asarray(np.clip(levels, -bound, bound), np.float32)


def visible_box(shape: tuple[int, ...], face: Face) -> tuple[int, int, int, int]:
    """The part of a face's box that lies in a photo of shape H W 3: left, top, right, bottom; never empty."""
    left, top, width, height = face.box
    return _cut_to((round(left), round(top), round(left + width), round(top + height)), shape)


def _cut_to(box: tuple[int, int, int, int], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom inside H W, one pixel or more."""
    x0, y0 = min(max(int(box[0]), 0), shape[1] - 1), min(max(int(box[1]), 0), shape[0] - 1)
    return x0, y0, max(min(int(box[2]), shape[1]), x0 + 1), max(min(int(box[3]), shape[0]), y0 + 1)


def face_region(shape: tuple[int, ...], face: Face, *, finest: float = FINEST) -> Region:
    """The window that holds a face's 112-pixel frame with room around it.

    Args:
        shape: the photo's shape, H W 3.
        face: in photo coordinates.
        finest: canvas pixels for each pixel of the frame, at most.
    """
    matrix = similarity_to_frame(face.points(), FRAMES["arcface112"])
    side = FRAMES["arcface112"].size
    low, high = -_ROOM * side, (1 + _ROOM) * side
    corners = np.array([[low, low, 1], [high, low, 1], [low, high, 1], [high, high, 1]])
    places = corners @ cv2.invertAffineTransform(matrix).T
    left, top, width, height = face.box
    places = np.vstack([places, [[left, top], [left + width, top + height]]])
    x0, y0 = np.floor(places.min(axis=0)).astype(int)
    x1, y1 = np.ceil(places.max(axis=0)).astype(int) + 1
    window = _cut_to((x0, y0, x1, y1), shape)
    wide, high_ = window[2] - window[0], window[3] - window[1]
    shrink = min(1.0, finest * float(np.hypot(matrix[0, 0], matrix[1, 0])))
    if shrink > 0.9:  # nearly as fine as allowed already: work in the photo's own pixels
        return Region(window, (1.0, 1.0), (high_, wide), face)
    size = (max(1, round(high_ * shrink)), max(1, round(wide * shrink)))
    return Region(window, (size[1] / wide, size[0] / high_), size, face)
