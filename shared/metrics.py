"""How much a picture changed, over 8-bit pixels: PSNR, SSIM, and two measures nearer to what an eye sees."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["edge_change", "masked_ms_ssim", "psnr", "ssim"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

_WINDOW = 11
_SIGMA = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
# Wang, Simoncelli and Bovik 2003, for scales from fine to coarse.
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# Local contrast, in levels, at which texture halves how much a change counts.
_MASKING = 8.0


def psnr(before: Pixels, after: Pixels) -> float:
    """Peak signal to noise ratio in dB; infinite where nothing changed. Both uint8 H W 3."""
    error = float(np.mean((before.astype(np.float64) - after) ** 2))
    return math.inf if error == 0.0 else 10.0 * math.log10(255.0**2 / error)


def ssim(before: Pixels, after: Pixels) -> float:
    """Structural similarity of the luma, mean over the windows that lie inside the picture.

    Both uint8 H W 3.

    Source:
        Wang et al. 2004: Gaussian window of 11 pixels, deviation 1.5, K1 0.01, K2 0.03, population
        covariance.
    """
    luminance, structure, _ = _maps(_luma(before), _luma(after))
    return float((luminance * structure).mean())


def masked_ms_ssim(before: Pixels, after: Pixels) -> float:
    """Multi-scale SSIM of the luma in which smooth places count most, since texture hides a change.

    At each scale the map is averaged with weight 1 / (1 + contrast of `before` / 8 levels) (contrast
    masking, Legge and Foley 1980). As many of the five scales are used as leave 11 pixels on the short side.

    Args:
        before: uint8 H W 3.
        after: the same shape.

    Returns:
        1 where nothing changed, less otherwise; structure turned around counts as 0.

    Source:
        Wang, Simoncelli and Bovik 2003 for scales and exponents, which are renormalised when fewer scales
        fit.
    """
    x, y = _luma(before), _luma(after)
    scales = min(len(_SCALES), 1 + int(math.log2(max(1.0, min(x.shape) / _WINDOW))))
    exponents = [weight / sum(_SCALES[:scales]) for weight in _SCALES[:scales]]
    product = 1.0
    for scale, exponent in enumerate(exponents):
        luminance, structure, contrast = _maps(x, y)
        index = luminance * structure if scale == scales - 1 else structure
        weight = 1.0 / (1.0 + contrast / _MASKING)
        product *= max(0.0, float(np.average(index, weights=weight))) ** exponent
        x, y = _halved(x), _halved(y)
    return product


def edge_change(before: Pixels, after: Pixels, landmarks: npt.ArrayLike) -> float:
    """How much edges around eyes and mouth changed, as a share of their strength before.

    Args:
        before: uint8 H W 3.
        after: the same shape.
        landmarks: the five points of a face in these pixels, shape 5 2 (see `shared.faces.frames`).

    Returns:
        mean length of the gradient's change over the mean length of the gradient, in discs of a third of the
        eyes' distance around eyes and corners of the mouth; 0 where nothing changed.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (5, 2):
        raise ValueError(f"landmarks: expected shape 5 2, got {points.shape}")
    radius = max(1.0, float(np.linalg.norm(points[1] - points[0])) / 3.0)
    rows, columns = np.mgrid[0 : before.shape[0], 0 : before.shape[1]]
    near = [np.hypot(columns - x, rows - y) <= radius for x, y in points[[0, 1, 3, 4]]]
    inside = np.logical_or.reduce(near)
    if not inside.any():
        raise ValueError("landmarks: none of the eyes and corners of the mouth lies in the picture")
    edges, others = _gradient(_luma(before)), _gradient(_luma(after))
    strength = float(np.abs(edges)[inside].mean())
    return float(np.abs(others - edges)[inside].mean()) / max(strength, 1e-9)


def _luma(pixels: Pixels) -> Floats:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"pixels: expected uint8 H W 3, got {pixels.dtype} of {pixels.shape}")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.float64)


def _maps(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Luminance term, contrast and structure term, and the contrast of x in levels, of the whole windows."""
    mx, my = _mean(x), _mean(y)
    vx, vy, vxy = _mean(x * x) - mx * mx, _mean(y * y) - my * my, _mean(x * y) - mx * my
    luminance = (2 * mx * my + _C1) / (mx * mx + my * my + _C1)
    structure = (2 * vxy + _C2) / (vx + vy + _C2)
    return luminance, structure, np.sqrt(np.maximum(vx, 0.0))


def _mean(values: Floats) -> Floats:
    # A face smaller than the window is mirrored at its border instead.
    edge = _WINDOW // 2 if min(values.shape) >= _WINDOW else 0
    blurred = cv2.GaussianBlur(values, (_WINDOW, _WINDOW), _SIGMA)
    return np.asarray(blurred[edge : blurred.shape[0] - edge, edge : blurred.shape[1] - edge], np.float64)


def _halved(values: Floats) -> Floats:
    height, width = values.shape[0] // 2, values.shape[1] // 2
    blocks = values[: 2 * height, : 2 * width].reshape(height, 2, width, 2)
    return np.asarray(blocks.mean(axis=(1, 3)))


def _gradient(values: Floats) -> npt.NDArray[np.complex128]:
    across, down = (np.asarray(cv2.Scharr(values, cv2.CV_64F, *step)) for step in ((1, 0), (0, 1)))
    return np.asarray(across + 1j * down, dtype=np.complex128)
