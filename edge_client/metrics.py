"""How much a picture changed: PSNR and SSIM over 8-bit pixels."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["psnr", "ssim"]

Pixels = npt.NDArray[np.uint8]


def psnr(before: Pixels, after: Pixels) -> float:
    """Peak signal to noise ratio in dB; infinite where nothing changed. Both uint8 H W 3."""
    error = float(np.mean((before.astype(np.float64) - after) ** 2))
    return math.inf if error == 0.0 else 10.0 * math.log10(255.0**2 / error)


def ssim(before: Pixels, after: Pixels) -> float:
    """Structural similarity of the luma, mean over the picture (Wang et al. 2004).

    Gaussian window of 11 pixels, deviation 1.5, K1 0.01, K2 0.03. Both uint8 H W 3.
    """
    x, y = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float64) for p in (before, after))

    def mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float64)

    mx, my = mean(x), mean(y)
    vx, vy, vxy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = ((2 * mx * my + c1) * (2 * vxy + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(index.mean())
