"""Reading a user's photo: upright RGB pixels and what is needed to save it in the same quality class."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from edge_client.photos.facts import dpi_of, encoding_of, exif_of
from edge_client.photos.formats import invalid, open_image, refuse_unsuitable, sniff
from edge_client.photos.metadata import exif_orientation
from edge_client.photos.orientation import upright
from edge_client.photos.photo import Format, Photo, PngEncoding
from shared.errors import Code, GoodnoiseError

__all__ = ["MAX_PIXELS", "read_content", "read_photo"]

MAX_PIXELS = 200_000_000
MAX_FILE_BYTES = 1 << 30


def read_photo(source: Path | bytes, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read a JPEG, PNG, WebP, TIFF or (with its library) HEIF photo.

    A CMYK photo is converted through its colour profile to sRGB and is then an RGB photo. A palette becomes
    RGB.

    Args:
        source: a file, or its content.
        name: base name for messages; a path's own by default.
        max_pixels: larger photos are refused before they are decoded.

    Raises:
        GoodnoiseError: NOT_FOUND or PERMISSION for the file; EXHAUSTED when it is too large; INVALID_INPUT
            when it is damaged, animated or of a kind that is not supported. The message names the file and
            the way out.
    """
    label = name or (source.name if isinstance(source, Path) else "the photo")
    data = source if isinstance(source, bytes) else read_content(source, name=label)
    kind = sniff(data, label)
    with _explained(label):
        image = open_image(kind, data, label)
        refuse_unsuitable(kind, image, max_pixels=max_pixels, name=label)
        image.load()
        return _photo(kind, image, data, label)


def read_content(source: Path, *, name: str | None = None) -> bytes:
    """A photo's file as it is; `name` is for messages, the path's own by default.

    Raises:
        GoodnoiseError: NOT_FOUND, PERMISSION, INVALID_INPUT, or EXHAUSTED when it is too large.
    """
    name = name or source.name
    try:
        if source.stat().st_size > MAX_FILE_BYTES:
            raise GoodnoiseError(
                Code.EXHAUSTED,
                f"{name} is larger than {MAX_FILE_BYTES >> 20} MB; save it smaller and try again",
            )
        return source.read_bytes()
    except FileNotFoundError as error:
        raise GoodnoiseError(Code.NOT_FOUND, f"{name} does not exist; check the path") from error
    except PermissionError as error:
        raise GoodnoiseError(Code.PERMISSION, f"{name} may not be read; ask its owner for access") from error
    except OSError as error:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{name} cannot be read ({error.strerror}); give a file"
        ) from error


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except GoodnoiseError:
        raise
    except MemoryError as error:
        raise GoodnoiseError(
            Code.EXHAUSTED, f"{name} does not fit into the memory; save it smaller and try again"
        ) from error
    except Exception as error:
        # Decoders answer damaged files with almost any exception; all of them mean the same to a user.
        reason = str(error) or type(error).__name__
        raise invalid(f"{name} is damaged or truncated ({reason}); give an intact copy") from error


def _photo(kind: Format, image: Image.Image, data: bytes, name: str) -> Photo:
    encoding = encoding_of(kind, image, data)
    exif = exif_of(kind, image, data)
    # Pillow turns a TIFF itself, HEIF keeps its orientation outside EXIF and its reader turns it.
    orientation = exif_orientation(exif) if kind in ("JPEG", "PNG", "WEBP") else 1
    samples = None
    if isinstance(encoding, PngEncoding) and encoding.depth == 16:
        samples = upright(_samples(data), orientation)
        pixels, alpha = _rounded(samples)
    else:
        stored, stored_alpha = _planes(image)
        pixels = upright(stored, orientation)
        alpha = None if stored_alpha is None else upright(stored_alpha, orientation)
    pixels.setflags(write=False)
    return Photo(
        name=name,
        pixels=pixels,
        grey=_is_grey(pixels),
        alpha=alpha,
        format=kind,
        mode=image.mode,
        orientation=orientation,
        encoding=encoding,
        # A converted CMYK photo is in sRGB, which is what a photo without a profile is taken for.
        icc=b"" if image.mode == "CMYK" else image.info.get("icc_profile") or b"",
        exif=exif,
        dpi=dpi_of(image.info.get("dpi")),
        samples=samples,
    )


def _planes(image: Image.Image) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
    if image.mode == "CMYK":
        return _from_cmyk(image), None
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"))
        return rgba[..., :3], rgba[..., 3]
    return np.asarray(image.convert("RGB")), None


def _from_cmyk(image: Image.Image) -> npt.NDArray[np.uint8]:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    converted = ImageCms.profileToProfile(
        image,
        profile,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return np.asarray(converted)


def _samples(data: bytes) -> npt.NDArray[np.uint16]:
    # Pillow reads 16-bit colour as 8 bits; it has checked the file by now.
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16:
        raise ValueError("no 16-bit samples")
    planes = decoded if decoded.ndim == 3 else decoded[..., None]
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[planes.shape[2]]
    return np.ascontiguousarray(planes[..., order]).astype(np.uint16, copy=False)


def _rounded(samples: npt.NDArray[np.uint16]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
    # 65535 = 255 * 257.
    levels = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if levels.shape[2] == 1:
        return np.repeat(levels, 3, axis=2), None
    return np.ascontiguousarray(levels[..., :3]), levels[..., 3].copy() if levels.shape[2] == 4 else None


def _is_grey(pixels: npt.NDArray[np.uint8]) -> bool:
    first = pixels[..., 0]
    return bool(np.array_equal(first, pixels[..., 1]) and np.array_equal(first, pixels[..., 2]))
