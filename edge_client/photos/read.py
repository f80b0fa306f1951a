"""Reading a user's photo: upright RGB pixels and what is needed to save it in the same quality class.

Pillow's readers are called directly, without its registry: only the formats named here are ever parsed, and
the limit on pixels is ours, not a global of the process.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast, get_args

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from edge_client.photos.chunks import png_chunks, webp_chunks, webp_quality
from edge_client.photos.metadata import exif_from_tiff, exif_orientation
from edge_client.photos.orientation import upright
from edge_client.photos.photo import (
    Encoding,
    Format,
    HeifEncoding,
    JpegEncoding,
    Photo,
    PngEncoding,
    TiffEncoding,
    WebpEncoding,
)
from shared.errors import Code, GoodnoiseError

__all__ = ["MAX_PIXELS", "read_photo"]

MAX_PIXELS = 200_000_000
MAX_FILE_BYTES = 1 << 30

_MODES = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "CMYK", "I;16"}
_LOSSLESS_TIFF = {"raw", "packbits", "tiff_lzw", "tiff_adobe_deflate"}
_PNG_COLOUR = {b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"pHYs"}
_PNG_KEYWORDS = {b"Title", b"Author", b"Description", b"Copyright", b"Creation Time", b"Software", b"Comment"}
_MAX_PNG_TEXT = 4096
# What people give by mistake, by how it begins: better named than 'unknown'.
_OTHERS = (
    (b"GIF8", 0, "a GIF"),
    (b"BM", 0, "a BMP"),
    (b"8BPS", 0, "a Photoshop file"),
    (b"%PDF", 0, "a PDF"),
    (b"ftypavi", 4, "an AVIF"),
    (b"\xff\x0a", 0, "a JPEG XL"),
    (b"JXL ", 4, "a JPEG XL"),
    (b"jP  ", 4, "a JPEG 2000"),
    (b"II+\x00", 0, "a BigTIFF"),
    (b"MM\x00+", 0, "a BigTIFF"),
    (b"CR\x02", 8, "a camera's raw file"),
    (b"ftypcrx", 4, "a camera's raw file"),
    (b"ftyp", 4, "a video"),
)
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
# TIFF tags of files whose first directory is not the photo: SubIFDs (raw files keep the photo there), DNG
# version.
_SUB_IFDS, _DNG_VERSION, _BITS_PER_SAMPLE, _PREDICTOR = 330, 50706, 258, 317


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
    data = _content(source, label)
    kind = _sniff(data, label)
    with _explained(label):
        image = _open(kind, data, label)
        _check_size(image.size, max_pixels, label)
        _check_single(kind, image, label)
        _check_layout(kind, image, label)
        image.load()
        return _photo(kind, image, data, label)


def _content(source: Path | bytes, name: str) -> bytes:
    if isinstance(source, bytes):
        return source
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


def _invalid(message: str) -> GoodnoiseError:
    return GoodnoiseError(Code.INVALID_INPUT, message)


def _sniff(data: bytes, name: str) -> Format:
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return "HEIF"
    what = next((label for magic, place, label in _OTHERS if data[place:].startswith(magic)), None)
    if what is None and data[:4] in (b"II*\x00", b"MM\x00*"):
        return "TIFF"
    if not data:
        raise _invalid(f"{name} is empty; give an intact copy")
    supported = ", ".join(get_args(Format))
    raise _invalid(f"{name} is {what or 'no photo'}, which is not supported; save it as one of {supported}")


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
        raise _invalid(f"{name} is damaged or truncated ({reason}); give an intact copy") from error


def _open(kind: Format, data: bytes, name: str) -> Image.Image:
    if kind == "HEIF":
        return _open_heif(data, name)
    readers: dict[str, Callable[[io.BytesIO], Image.Image]] = {
        "JPEG": JpegImagePlugin.JpegImageFile,
        "PNG": PngImagePlugin.PngImageFile,
        "WEBP": WebPImagePlugin.WebPImageFile,
        "TIFF": TiffImagePlugin.TiffImageFile,
    }
    return readers[kind](io.BytesIO(data))


def _open_heif(data: bytes, name: str) -> Image.Image:
    try:
        from pillow_heif import HeifImagePlugin  # noqa: F401 - the library checks its own parts on import
        from pillow_heif.as_plugin import HeifImageFile
    except ImportError as error:
        raise _invalid(
            f"{name} is a HEIF photo, whose library is not installed; run 'pip install goodnoise[heic]'"
        ) from error
    return cast("Image.Image", HeifImageFile(io.BytesIO(data)))  # type: ignore[no-untyped-call]


def _check_size(size: tuple[int, int], max_pixels: int, name: str) -> None:
    width, height = size
    if width * height > max_pixels:
        raise GoodnoiseError(
            Code.EXHAUSTED,
            f"{name} has {width} x {height} pixels, at most {max_pixels} are allowed; "
            "save it smaller or raise the limit",
        )


def _check_single(kind: Format, image: Image.Image, name: str) -> None:
    if getattr(image, "is_animated", False):
        what = "several pages" if kind == "TIFF" else "several pictures" if kind == "HEIF" else "an animation"
        raise _invalid(f"{name} holds {what}; save the picture that you want to protect as a file of its own")


def _check_layout(kind: Format, image: Image.Image, name: str) -> None:
    if image.mode not in _MODES:
        raise _invalid(
            f"{name} has pixels of kind {image.mode!r}; save it with 8 bits a sample in RGB or grey"
        )
    if image.mode == "CMYK" and not image.info.get("icc_profile"):
        raise _invalid(f"{name} is CMYK without a colour profile, so its colours are unknown; save it as RGB")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_tiff(image, name)
    elif kind == "HEIF" and int(image.info.get("bit_depth", 8)) > 8:
        raise _invalid(f"{name} has more than 8 bits a sample (HDR); save it as a JPEG or an 8-bit HEIF")


def _check_tiff(image: TiffImagePlugin.TiffImageFile, name: str) -> None:
    tags = image.tag_v2
    if _SUB_IFDS in tags or _DNG_VERSION in tags:
        raise _invalid(f"{name} is a camera's raw file or a layered TIFF; save it as a plain TIFF or a JPEG")
    if max(tags.get(_BITS_PER_SAMPLE, (1,))) > 8:
        raise _invalid(
            f"{name} is a TIFF of more than 8 bits a sample; save it as a 16-bit PNG or an 8-bit TIFF"
        )


def _photo(kind: Format, image: Image.Image, data: bytes, name: str) -> Photo:
    encoding = _encoding(kind, image, data)
    exif = _exif(kind, image, data)
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
        dpi=_dpi(image.info.get("dpi")),
        samples=samples,
    )


def _exif(kind: Format, image: Image.Image, data: bytes) -> bytes:
    if kind == "TIFF":
        return exif_from_tiff(data)
    block = image.info.get("exif") or b""
    return bytes(block).removeprefix(b"Exif\x00\x00")


def _dpi(value: object) -> tuple[float, float] | None:
    try:
        x, y = (float(v) for v in cast("tuple[float, float]", value))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 1 <= x <= 20000 and 1 <= y <= 20000 else None


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


def _encoding(kind: Format, image: Image.Image, data: bytes) -> Encoding:
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
