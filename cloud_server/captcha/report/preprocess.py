"""What an attacker does to an image before a program reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["PREPROCESSINGS", "STRETCHINGS", "Grey", "Preprocessing"]

Grey: TypeAlias = npt.NDArray[np.uint8]
Preprocessing: TypeAlias = Callable[[Grey], Grey]

# Pixels: enough to take single-pixel noise away and to keep strokes.
_BLUR = 1.0
_JPEG = 50


def _nothing(image: Grey) -> Grey:
    return image


def _median(image: Grey) -> Grey:
    return np.asarray(cv2.medianBlur(image, 3), np.uint8)


def _gaussian(image: Grey) -> Grey:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), _BLUR), np.uint8)


def _otsu(image: Grey) -> Grey:
    return np.asarray(cv2.threshold(image, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1], np.uint8)


def _jpeg(image: Grey) -> Grey:
    _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)


def _twice(image: Grey) -> Grey:
    return np.asarray(cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)


def _stretched(white: float) -> Preprocessing:
    """Blurred by one pixel, tones from the darkest 2 % to this share stretched over all levels."""

    def stretch(image: Grey) -> Grey:
        soft = cv2.GaussianBlur(image, (0, 0), 1.0).astype(np.float32)
        low, high = np.quantile(soft, (0.02, white))
        return np.asarray(np.clip((soft - low) / max(high - low, 1.0) * 255, 0, 255), np.uint8)

    return stretch


# All take and give uint8 H W; the last gives 2H 2W.
PREPROCESSINGS: Mapping[str, Preprocessing] = MappingProxyType(
    {
        "nothing": _nothing,
        "median 3": _median,
        "blur": _gaussian,
        "otsu": _otsu,
        "jpeg 50": _jpeg,
        "2x": _twice,
    }
)
# Not of the suite that the goals are set for, and harder: strokes are darker than what an attack may draw, so
# that stretching dark tones brings them out.
STRETCHINGS: Mapping[str, Preprocessing] = MappingProxyType(
    {f"tones to {white:.0%}": _stretched(white) for white in (0.2, 0.3, 0.4)}
)
