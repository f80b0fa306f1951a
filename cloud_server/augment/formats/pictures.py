"""Files as pictures: what is read is what everyone sees, or it is refused by name."""

from __future__ import annotations

import hashlib
import io
import struct
import unicodedata

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from cloud_server.augment.types import Picture
from shared.errors import Code, GoodnoiseError

__all__ = ["MOST_PIXELS", "SUFFIXES", "checked_name", "decode", "png", "sha256"]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
# A file of a few kilobytes can hold gigabytes of pixels.
MOST_PIXELS = 50_000_000
# No other decoder sees bytes of strangers: some of Pillow's start programs.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
_PLAIN = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}
_ALPHA = {"LA": "L", "RGBA": "RGB", "PA": "RGB"}
# Control characters, halves of pairs, ends of lines and paragraphs: they would break lists of names.
_BREAKING = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BITS_OF_TIFF = 258
_BITS_OF_PNG = 24
# What Pillow's readers raise for bytes that are no image of theirs.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, OverflowError, struct.error)


def sha256(data: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def checked_name(name: str) -> str:
    """A name inside a dataset, unchanged.

    Raises:
        GoodnoiseError: INVALID_INPUT for one that is absolute, climbs out, or has control characters.
    """
    plain = name.isprintable() or not any(unicodedata.category(c) in _BREAKING for c in name)
    if not name or name.startswith("/") or ".." in name.split("/") or not plain:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"the dataset names an image {name!r}; expected a plain relative name"
        )
    return name


def decode(data: bytes, name: str) -> Picture:
    """A file's pixels, H W C with C 1 or 3, upright as EXIF says; of an animation the first picture.

    Args:
        data: the file.
        name: what errors call it.

    Raises:
        GoodnoiseError: CORRUPT for what cannot be read; INVALID_INPUT for more than 8 bits, CMYK, pictures
            that are partly transparent, or too many pixels.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise _too_large(name, f"{image.width} x {image.height} pixels")
            _refuse_deep(image, data, name)
            pixels = np.asarray(_plain(ImageOps.exif_transpose(image), name))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(name, "too many pixels") from error
    except (*_BROKEN, UnidentifiedImageError) as error:
        raise GoodnoiseError(
            Code.CORRUPT, f"{name} cannot be read as an image; remove it or fetch it again"
        ) from error
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _too_large(name: str, what: str) -> GoodnoiseError:
    most = f"at most {MOST_PIXELS} are read; make it smaller or leave it out"
    return GoodnoiseError(Code.INVALID_INPUT, f"{name} has {what}, {most}")


def _refuse_deep(image: Image.Image, data: bytes, name: str) -> None:
    """Pillow halves the bits of colour pictures without a word; grey ones show in their mode."""
    bits = data[_BITS_OF_PNG] if image.format == "PNG" else 8
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = max(image.tag_v2.get(_BITS_OF_TIFF, (8,)))
    if bits > 8 and image.mode in {*_PLAIN, *_ALPHA}:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{name} has {bits} bits a channel; convert it to 8-bit grey or RGB first"
        )


def _plain(image: Image.Image, name: str) -> Image.Image:
    if "transparency" in image.info and image.mode in _PLAIN:
        image = image.convert("LA" if image.mode in {"1", "L"} else "RGBA")
    if image.mode in _PLAIN:
        return image.convert(_PLAIN[image.mode])
    if image.mode in _ALPHA:
        lowest = image.getchannel("A").getextrema()[0]
        if lowest == 255:
            return image.convert(_ALPHA[image.mode])
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"{name} is partly transparent; put it on a ground first, its looks depend on it",
        )
    raise GoodnoiseError(
        Code.INVALID_INPUT, f"{name} is of mode {image.mode}; convert it to 8-bit grey or RGB first"
    )


def png(picture: Picture) -> bytes:
    """A picture H W C as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(file, "PNG")
    return file.getvalue()
