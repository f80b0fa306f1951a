"""JPEG compression of a random quality, with a gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.attack.arrays import Array, like, namespace
from shared.attack.keys import Keys
from shared.attack.transforms.base import Params, Shape
from shared.attack.transforms.planes import Halved, Plane, Whole, blocks_to_plane, plane_to_blocks

__all__ = ["Jpeg", "Rounding", "quantisation"]

Floats = npt.NDArray[np.float64]
Rounding = Literal["straight", "survivors", "none"]

# ITU-T T.81, annex K, tables K.1 and K.2.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), *(((99,) * 8,) * 4),
)  # fmt: skip

# RGB to Y Cb Cr of JFIF 1.02 (ITU-R BT.601), without the offset of 128 that shifting the levels takes away
# again.
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_TO_RGB = np.linalg.inv(_TO_YCC)


class _Plan(NamedTuple):
    # One image's draw.
    quality: int
    halved: bool


@dataclass(frozen=True)
class Jpeg:
    """What saving as JPEG does to an image: Y Cb Cr, chroma at half size, quantised 8x8 cosine blocks.

    Args:
        low: smallest quality, 1 to 100 (libjpeg's scale).
        high: largest quality; one draw an image, uniform over whole numbers.
        halve_chroma: probability of 4:2:0; the rest keeps chroma at full size (4:4:4).
        rounding: how the gradient passes the rounding of coefficients.
            'straight': as if rounding were not there (Athalye et al., arXiv 1802.00420, section 4.1): what
            remains is the loss of chroma resolution and the clipping to [0,1].
            'survivors': as that, but nothing passes through coefficients that were rounded to 0, so that no
            budget goes into frequencies that the file does not keep. Costs one more transform of the
            gradient.
            'none': no rounding at all, forward either; for tests of the gradient.

    One channel is taken as luma, three as RGB. Sides that are no multiple of 8 (16 when chroma is halved) are
    padded by their edge and cut again. Chroma is halved by 2x2 means and doubled by libjpeg's triangle
    filter. Differs from libjpeg by its fixed-point arithmetic and by not rounding the decoded levels.
    """

    low: int = 60
    high: int = 95
    halve_chroma: float = 0.5
    rounding: Rounding = "straight"

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.high <= 100:
            raise ValueError(f"Jpeg: expected 1 <= low <= high <= 100, got {self.low} and {self.high}")

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """A quality and a chroma format an image."""
        if shape[1] not in {1, 3}:
            raise ValueError(f"Jpeg: expected 1 or 3 channels, got {shape[1]}")
        plans = []
        for i in range(len(keys.ids)):
            rng = keys.rng(i)
            quality = int(rng.integers(self.low, self.high + 1))
            plans.append(_Plan(quality, bool(rng.random() < self.halve_chroma)))
        return plans

    def apply(self, x: Array, params: Params) -> Array:
        """The images after saving and loading, in [0,1], not rounded to 8 bits."""
        return self.pull_back(x, params)[0]

    def adjoint(self, gradient: Array, x: Array, params: Params) -> Array:
        """The gradient as `rounding` says; zero where the decoded value was clipped."""
        return self.pull_back(x, params)[1](gradient)

    def pull_back(self, x: Array, params: Params) -> tuple[Array, Callable[[Array], Array]]:
        """The images after saving and loading, and their adjoint with what it needs of the way there."""
        xp = namespace(x)
        codecs = [_Codec(x[i, ...], plan, self.rounding) for i, plan in enumerate(params)]
        decoded = xp.stack([codec.decoded for codec in codecs])

        def back(gradient: Array) -> Array:
            within = (decoded >= 0.0) & (decoded <= 1.0)
            passed = xp.where(within, gradient, xp.zeros_like(gradient))
            return xp.stack([codec.adjoint(passed[i, ...]) for i, codec in enumerate(codecs)])

        return xp.clip(decoded, 0.0, 1.0), back


class _Codec:
    """One image C H W saved and loaded: `decoded`, not clipped, and what its adjoint needs."""

    def __init__(self, image: Array, plan: _Plan, rounding: Rounding) -> None:
        self._planes = _planes(tuple(image.shape), plan)
        self._masks: list[Array | None] = []
        channels = _recolour(_TO_YCC, image) * 255.0
        decoded = [
            self._coded(plane, _pick(channels, place), table, rounding)
            for place, plane, table in self._planes
        ]
        self.decoded = _recolour(_TO_RGB, namespace(image).concat(decoded, axis=0)) * (1.0 / 255.0)

    def _coded(self, plane: Plane, values: Array, table: Floats, rounding: Rounding) -> Array:
        # Shifting luma by 128 levels moves its mean coefficient by 1024, a whole number of steps for most
        # tables but not for all, so it is done as the standard says.
        shift = 128.0 if plane.shifted else 0.0
        coefficients = plane_to_blocks(plane.enter(values - shift))
        mask = None
        if rounding != "none":
            step = like(table[:, None, :], values)
            levels = namespace(values).round(coefficients / step)
            mask = levels != 0 if rounding == "survivors" else None
            coefficients = levels * step
        self._masks.append(mask)
        return plane.leave(blocks_to_plane(coefficients)) + shift

    def adjoint(self, gradient: Array) -> Array:
        """From the gradient on `decoded` to that on the image."""
        channels = _recolour(_TO_RGB.T, gradient)
        parts = []
        for (place, plane, _), mask in zip(self._planes, self._masks, strict=True):
            parts.append(self._passed(plane, _pick(channels, place), mask))
        return _recolour(_TO_YCC.T, namespace(gradient).concat(parts, axis=0))

    def _passed(self, plane: Plane, gradient: Array, mask: Array | None) -> Array:
        if mask is None and plane.transparent:
            return gradient
        inner = plane.leave_adjoint(gradient)
        if mask is not None:
            xp = namespace(gradient)
            coefficients = plane_to_blocks(inner)
            inner = blocks_to_plane(xp.where(mask, coefficients, xp.zeros_like(coefficients)))
        return plane.enter_adjoint(inner)


def quantisation(quality: int) -> Floats:
    """The standard tables scaled as libjpeg does for a quality of 1 to 100; 2 8 8, luma, chroma; levels."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    tables = (np.array([_LUMA, _CHROMA]) * scale + 50) // 100
    return np.asarray(np.clip(tables, 1, 255), dtype=np.float64)


def _planes(shape: tuple[int, ...], plan: _Plan) -> list[tuple[slice, Plane, Floats]]:
    luma, chroma = quantisation(plan.quality)
    height, width = shape[1], shape[2]
    planes: list[tuple[slice, Plane, Floats]] = [(slice(0, 1), Whole(height, width, shifted=True), luma)]
    if shape[0] == 3:
        plane: Plane = Halved(height, width) if plan.halved else Whole(height, width)
        planes.append((slice(1, 3), plane, chroma))
    return planes


def _pick(channels: Array, place: slice) -> Array:
    return channels[place, :, :]


def _recolour(matrix: Floats, image: Array) -> Array:
    if image.shape[0] == 1:
        return image
    xp = namespace(image)
    return xp.reshape(like(matrix, image) @ xp.reshape(image, (3, -1)), tuple(image.shape))
