"""What a platform does to a photo that is put on it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["recompress"]


def recompress(
    pixels: npt.NDArray[np.uint8], *, scale: float = 0.75, quality: int = 75
) -> npt.NDArray[np.uint8]:
    """Resize, save as JPEG with 4:2:0 chroma, decode, resize back; the same bytes in give the same bytes out.

    Args:
        pixels: uint8 H W 3, RGB.
        scale: factor on both sides, in (0,1]; area averaging down, bicubic up.
        quality: JPEG quality in [1,100].

    Returns:
        uint8 H W 3.
    """
    if not 0.0 < scale <= 1.0 or not 1 <= quality <= 100:
        raise ValueError(f"expected scale in (0,1] and quality in [1,100], got {scale} and {quality}")
    height, width = pixels.shape[:2]
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    if small != (width, height):
        bgr = cv2.resize(bgr, small, interpolation=cv2.INTER_AREA)
    done, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR) if done else None
    if decoded is None:
        raise ValueError(f"pixels of shape {pixels.shape} cannot be saved as JPEG")
    if small != (width, height):
        decoded = cv2.resize(decoded, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)
