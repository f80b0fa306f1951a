"""What is known of a user's photo: its pixels, and what saving in the same quality class needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = [
    "Encoding",
    "Format",
    "HeifEncoding",
    "JpegEncoding",
    "Photo",
    "PngEncoding",
    "TiffEncoding",
    "WebpEncoding",
]

Format = Literal["JPEG", "PNG", "WEBP", "TIFF", "HEIF"]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class JpegEncoding:
    """How a JPEG was made.

    Args:
        tables: quantisation tables of 64 entries in natural order, by component; the last serves the rest.
        subsampling: 0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0; a layout that the encoder lacks becomes 0, never
            coarser.
        progressive: several scans.
        rgb: stored as RGB, not as YCbCr.
        comment: the comment segment.
    """

    tables: tuple[tuple[int, ...], ...]
    subsampling: int = 0
    progressive: bool = False
    rgb: bool = False
    comment: bytes = b""


@dataclass(frozen=True)
class PngEncoding:
    """How a PNG was made.

    Args:
        depth: bits a sample, 8 or 16; fewer become 8.
        chunks: ancillary chunks to keep, as (type, content): colour space and text of the standard keywords.
    """

    depth: Literal[8, 16] = 8
    chunks: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True)
class WebpEncoding:
    """How a WebP was made; `quality` in [0,100] is read from the quantisers of the lossy frame."""

    lossless: bool
    quality: int = 100


@dataclass(frozen=True)
class TiffEncoding:
    """How a TIFF was made: lossless compression in Pillow's words; predictor 1 none, 2 horizontal."""

    compression: str
    predictor: int = 1


@dataclass(frozen=True)
class HeifEncoding:
    """How a HEIF was made; its quality is not stored, so a high one is used. `chroma` is 420, 422 or 444."""

    chroma: int = 420


Encoding = JpegEncoding | PngEncoding | WebpEncoding | TiffEncoding | HeifEncoding


@dataclass(frozen=True, eq=False)
class Photo:
    """One decoded photo. Colour values stay in the file's own space; `icc` says which.

    Args:
        name: base name, for messages.
        pixels: uint8 H W 3, RGB, upright, read-only.
        grey: all three channels are equal everywhere, and stay so.
        alpha: uint8 H W, upright, or None.
        format: the file's format, and what it is saved as.
        mode: Pillow's name of the file's pixel layout, such as 'L' or 'CMYK'.
        orientation: the EXIF orientation of the stored pixels, 1 to 8.
        encoding: what is needed to save it in the same quality class.
        icc: ICC profile.
        exif: the file's EXIF block, from the TIFF header on, as found.
        dpi: horizontal and vertical resolution.
        samples: uint16 H W C, upright, for photos of 16 bits a sample; `pixels` is its 8-bit rounding.
    """

    name: str
    pixels: Pixels
    grey: bool
    alpha: Pixels | None
    format: Format
    mode: str
    orientation: int
    encoding: Encoding
    icc: bytes = field(default=b"", repr=False)
    exif: bytes = field(default=b"", repr=False)
    dpi: tuple[float, float] | None = None
    samples: npt.NDArray[np.uint16] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the upright photo, in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]
