"""Saving changed pixels in the photo's own format and quality class."""

from __future__ import annotations

import io
import zlib
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from edge_client.photos.chunks import insert_png_chunks, png_chunks
from edge_client.photos.metadata import MetadataPolicy, clean_exif
from edge_client.photos.orientation import as_stored
from edge_client.photos.photo import (
    HeifEncoding,
    JpegEncoding,
    Photo,
    PngEncoding,
    TiffEncoding,
    WebpEncoding,
)
from shared.errors import Code, GoodnoiseError

__all__ = ["encode_photo"]

_HEIF_QUALITY = 92
_TEXT = (b"tEXt", b"iTXt")
_PREDICTOR = 317


def encode_photo(
    photo: Photo, pixels: npt.NDArray[np.uint8], *, policy: MetadataPolicy | None = None
) -> bytes:
    """The photo's file with other pixels.

    JPEG keeps its quantisation tables and chroma subsampling, WebP its quality (lossless stays lossless),
    TIFF its compression where that loses nothing and deflate otherwise, PNG its depth. Stored pixels lie as
    they did (EXIF orientation and block grid stay), unless the policy strips the orientation field: then
    they are stored upright. Alpha is kept exactly. The colour profile is kept. What `metadata` names as
    holding the unprotected face is gone.

    Args:
        photo: as read.
        pixels: uint8 H W 3, RGB, upright, of the photo's size. For a grey photo the channels are averaged if
            they differ.
        policy: what metadata is kept; location and serial numbers go by default.

    Raises:
        GoodnoiseError: INVALID_INPUT when the format cannot hold the result.
    """
    if pixels.shape != photo.pixels.shape or pixels.dtype != np.uint8:
        raise ValueError(
            f"pixels: expected uint8 of {photo.pixels.shape}, got {pixels.dtype} of {pixels.shape}"
        )
    policy = policy or MetadataPolicy()
    orientation = 1 if policy.strip_all else photo.orientation
    exif = clean_exif(photo.exif, policy, orientation=orientation)
    encoding = photo.encoding
    if isinstance(encoding, PngEncoding):
        return _png(photo, pixels, encoding, exif, policy)
    image = _image(photo, pixels, orientation)
    if isinstance(encoding, JpegEncoding):
        return _jpeg(photo, image, encoding, exif, policy)
    if isinstance(encoding, WebpEncoding):
        options: dict[str, Any] = {"lossless": encoding.lossless, "quality": encoding.quality, "exact": True}
        return _saved(image, "WEBP", icc_profile=photo.icc, exif=exif, **options)
    if isinstance(encoding, TiffEncoding):
        return _tiff(photo, image, encoding, exif)
    return _heif(photo, image, encoding, exif)


def _collapsed(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    # The mean leaves equal channels exactly as they are.
    total: npt.NDArray[np.uint16] = pixels.sum(axis=2, dtype=np.uint16)
    return ((total + 1) // 3).astype(np.uint8)


def _stores_one_channel(photo: Photo) -> bool:
    if photo.mode in ("1", "L", "LA", "La", "I;16"):
        return True
    # A grey palette needs no colours, unless its profile speaks of them.
    return photo.mode in ("P", "PA") and photo.grey and photo.format == "PNG" and not photo.icc


def _planes(photo: Photo, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    planes = pixels
    if photo.grey:
        grey = _collapsed(pixels)[..., None]
        planes = grey if _stores_one_channel(photo) else np.repeat(grey, 3, axis=2)
    if photo.alpha is not None:
        planes = np.concatenate([planes, photo.alpha[..., None]], axis=2)
    return planes


def _image(photo: Photo, pixels: npt.NDArray[np.uint8], orientation: int) -> Image.Image:
    stored = as_stored(_planes(photo, pixels), orientation)
    return Image.fromarray(stored[..., 0] if stored.shape[2] == 1 else stored)


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **{key: value for key, value in options.items() if value not in (b"", None)})
    return buffer.getvalue()


def _jpeg(
    photo: Photo, image: Image.Image, encoding: JpegEncoding, exif: bytes, policy: MetadataPolicy
) -> bytes:
    options: dict[str, Any] = {
        "qtables": [list(table) for table in encoding.tables[: 1 if image.mode == "L" else 3]],
        "subsampling": encoding.subsampling,
        "keep_rgb": encoding.rgb,
        "icc_profile": photo.icc,
        "exif": b"Exif\x00\x00" + exif if exif else b"",
        "dpi": photo.dpi and (round(photo.dpi[0]), round(photo.dpi[1])),
        "comment": b"" if policy.strip_all else encoding.comment,
    }
    try:
        return _saved(image, "JPEG", progressive=encoding.progressive, optimize=True, **options)
    except OSError:
        # Pillow guesses the size of the one buffer that optimised files need, and noise at finest tables
        # exceeds it.
        return _saved(image, "JPEG", **options)


def _tiff(photo: Photo, image: Image.Image, encoding: TiffEncoding, exif: bytes) -> bytes:
    tags = Image.Exif()
    tags.load(exif)
    if encoding.predictor == 2 and encoding.compression in ("tiff_lzw", "tiff_adobe_deflate"):
        tags[_PREDICTOR] = 2
    return _saved(
        image, "TIFF", compression=encoding.compression, icc_profile=photo.icc, exif=tags, dpi=photo.dpi
    )


def _heif(photo: Photo, image: Image.Image, encoding: HeifEncoding, exif: bytes) -> bytes:
    if photo.alpha is not None:
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"{photo.name} is a HEIF with transparency, which cannot be kept exactly; save it as PNG",
        )
    from pillow_heif import register_heif_opener

    register_heif_opener()
    try:
        return _saved(
            image, "HEIF", quality=_HEIF_QUALITY, chroma=encoding.chroma, icc_profile=photo.icc, exif=exif
        )
    except (KeyError, OSError, RuntimeError) as error:
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"{photo.name} is a HEIF, and its library here cannot write; save the photo as JPEG",
        ) from error


def _png(
    photo: Photo, pixels: npt.NDArray[np.uint8], encoding: PngEncoding, exif: bytes, policy: MetadataPolicy
) -> bytes:
    orientation = 1 if policy.strip_all else photo.orientation
    planes = _planes(photo, pixels) if photo.samples is None else _deep_planes(photo, photo.samples, pixels)
    plain = _png_image(as_stored(planes, orientation))
    chunks = [
        (kind, content) for kind, content in encoding.chunks if not (policy.strip_all and kind in _TEXT)
    ]
    if photo.icc:
        # The standard allows one statement of colour space: the profile beats the sRGB chunk.
        chunks = [(kind, content) for kind, content in chunks if kind != b"sRGB"]
        chunks.append((b"iCCP", b"ICC profile\x00\x00" + zlib.compress(photo.icc)))
    if exif:
        chunks.append((b"eXIf", exif))
    return insert_png_chunks(plain, tuple(chunks))


def _deep_planes(
    photo: Photo, samples: npt.NDArray[np.uint16], pixels: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint16]:
    colours = samples.shape[2] if samples.shape[2] < 4 else 3
    delta = pixels.astype(np.int32) - photo.pixels
    if photo.grey:
        grey = _collapsed(pixels)[..., None].astype(np.int32) - photo.pixels[..., :1]
        delta = np.repeat(grey, colours, axis=2)
    changed = samples.astype(np.int32)
    changed[..., :colours] += 257 * delta
    return np.clip(changed, 0, 65535).astype(np.uint16)


def _png_image(stored: npt.NDArray[Any]) -> bytes:
    if stored.shape[2] == 2:
        return _saved(Image.fromarray(stored), "PNG")
    # OpenCV's encoder takes a seventh of Pillow's time, for photos of about the same size, and knows 16 bits.
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[stored.shape[2]]
    done, buffer = cv2.imencode(".png", np.ascontiguousarray(stored[..., order]))
    if not done:
        raise GoodnoiseError(Code.INTERNAL, "a photo could not be written as PNG; report it")
    return _only_image(buffer.tobytes())


def _only_image(png: bytes) -> bytes:
    # The encoder adds chunks of its own (resolution); the photo's are put in afterwards.
    wanted = (b"IHDR", b"IDAT", b"IEND")
    return insert_png_chunks(png[:8], tuple(chunk for chunk in png_chunks(png) if chunk[0] in wanted))
