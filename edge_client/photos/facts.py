"""What a file says of how it was made, so that it can be made like that again."""

from __future__ import annotations

from typing import cast

from PIL import Image, JpegImagePlugin, TiffImagePlugin

from edge_client.photos.chunks import png_chunks, webp_chunks, webp_quality
from edge_client.photos.metadata import exif_from_tiff
from edge_client.photos.photo import (
    Encoding,
    Format,
    HeifEncoding,
    JpegEncoding,
    PngEncoding,
    TiffEncoding,
    WebpEncoding,
)

__all__ = ["dpi_of", "encoding_of", "exif_of"]

_LOSSLESS_TIFF = {"raw", "packbits", "tiff_lzw", "tiff_adobe_deflate"}
_PNG_COLOUR = {b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"pHYs"}
_PNG_KEYWORDS = {b"Title", b"Author", b"Description", b"Copyright", b"Creation Time", b"Software", b"Comment"}
_MAX_PNG_TEXT = 4096
_PREDICTOR = 317


def encoding_of(kind: Format, image: Image.Image, data: bytes) -> Encoding:
    """What saving in the same quality class needs."""
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        return _jpeg(image)
    if kind == "PNG":
        return _png(data)
    if kind == "WEBP":
        return _webp(data)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        compression = str(image.info.get("compression", "raw"))
        known = compression if compression in _LOSSLESS_TIFF else "tiff_adobe_deflate"
        return TiffEncoding(known, 2 if image.tag_v2.get(_PREDICTOR) == 2 else 1)
    return HeifEncoding(int(image.info.get("chroma", 420)))


def exif_of(kind: Format, image: Image.Image, data: bytes) -> bytes:
    """The EXIF block from its TIFF header on; empty without one."""
    if kind == "TIFF":
        return exif_from_tiff(data)
    block = image.info.get("exif") or b""
    return bytes(block).removeprefix(b"Exif\x00\x00")


def dpi_of(value: object) -> tuple[float, float] | None:
    """A resolution as Pillow gives it, where it is one."""
    try:
        x, y = (float(v) for v in cast("tuple[float, float]", value))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 1 <= x <= 20000 and 1 <= y <= 20000 else None


def _jpeg(image: JpegImagePlugin.JpegImageFile) -> JpegEncoding:
    by_component = [tuple(image.quantization[layer[3]]) for layer in image.layer[:3]]
    tables = by_component
    while len(tables) > 1 and tables[-1] == tables[-2]:
        tables = tables[:-1]
    rgb = len(image.layer) == 3 and image.info.get("adobe_transform") == 0
    subsampling = JpegImagePlugin.get_sampling(image)
    return JpegEncoding(
        tables=tuple(tables),
        subsampling=0 if rgb or subsampling < 0 else subsampling,
        progressive=bool(image.info.get("progressive")),
        rgb=rgb,
        comment=image.info.get("comment") or b"",
    )


def _png(data: bytes) -> PngEncoding:
    kept: list[tuple[bytes, bytes]] = []
    for kind, content in png_chunks(data):
        keyword = content[:80].split(b"\x00")[0]
        text = kind in (b"tEXt", b"iTXt") and keyword in _PNG_KEYWORDS and len(content) <= _MAX_PNG_TEXT
        if text or (kind in _PNG_COLOUR and len(content) <= 64):
            kept.append((kind, content))
    return PngEncoding(16 if data[24] == 16 else 8, tuple(kept))


def _webp(data: bytes) -> WebpEncoding:
    frames = dict(webp_chunks(data))
    if b"VP8L" in frames:
        return WebpEncoding(lossless=True)
    return WebpEncoding(lossless=False, quality=webp_quality(frames.get(b"VP8 ", b"")))
