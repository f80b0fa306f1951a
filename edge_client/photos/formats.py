"""Which file is a photo that can be protected, and which needs something else first."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import cast, get_args

from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from edge_client.photos.photo import Format
from shared.errors import Code, GoodnoiseError

__all__ = ["invalid", "open_image", "refuse_unsuitable", "sniff"]

_MODES = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "CMYK", "I;16"}
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
# TIFF tags of files whose first directory is not the photo: SubIFDs (raw files keep the photo there), DNG.
_SUB_IFDS, _DNG_VERSION, _BITS_PER_SAMPLE = 330, 50706, 258


def sniff(data: bytes, name: str) -> Format:
    """The format by its first bytes.

    Raises:
        GoodnoiseError: INVALID_INPUT naming what the file is instead, where that is known.
    """
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
        raise invalid(f"{name} is empty; give an intact copy")
    supported = ", ".join(get_args(Format))
    raise invalid(f"{name} is {what or 'no photo'}, which is not supported; save it as one of {supported}")


def open_image(kind: Format, data: bytes, name: str) -> Image.Image:
    """Pillow's image of this format, its pixels not yet decoded.

    The readers are called directly, without Pillow's registry: nothing but the formats named here is ever
    parsed, and the limit on pixels is the caller's, not a global of the process.
    """
    if kind == "HEIF":
        return _open_heif(data, name)
    readers: dict[str, Callable[[io.BytesIO], Image.Image]] = {
        "JPEG": JpegImagePlugin.JpegImageFile,
        "PNG": PngImagePlugin.PngImageFile,
        "WEBP": WebPImagePlugin.WebPImageFile,
        "TIFF": TiffImagePlugin.TiffImageFile,
    }
    return readers[kind](io.BytesIO(data))


def refuse_unsuitable(kind: Format, image: Image.Image, *, max_pixels: int, name: str) -> None:
    """Refuse, before decoding, what is too large, more than one picture, or of pixels that cannot be kept.

    Raises:
        GoodnoiseError: EXHAUSTED or INVALID_INPUT, naming the way out.
    """
    _check_size(image.size, max_pixels, name)
    _check_single(kind, image, name)
    _check_layout(kind, image, name)


def invalid(message: str) -> GoodnoiseError:
    """An INVALID_INPUT with this message."""
    return GoodnoiseError(Code.INVALID_INPUT, message)


def _open_heif(data: bytes, name: str) -> Image.Image:
    try:
        from pillow_heif import HeifImagePlugin  # noqa: F401 - the library checks its own parts on import
        from pillow_heif.as_plugin import HeifImageFile
    except ImportError as error:
        raise invalid(
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
        raise invalid(f"{name} holds {what}; save the picture that you want to protect as a file of its own")


def _check_layout(kind: Format, image: Image.Image, name: str) -> None:
    if image.mode not in _MODES:
        raise invalid(
            f"{name} has pixels of kind {image.mode!r}; save it with 8 bits a sample in RGB or grey"
        )
    if image.mode == "CMYK" and not image.info.get("icc_profile"):
        raise invalid(f"{name} is CMYK without a colour profile, so its colours are unknown; save it as RGB")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_tiff(image, name)
    elif kind == "HEIF" and int(image.info.get("bit_depth", 8)) > 8:
        raise invalid(f"{name} has more than 8 bits a sample (HDR); save it as a JPEG or an 8-bit HEIF")


def _check_tiff(image: TiffImagePlugin.TiffImageFile, name: str) -> None:
    tags = image.tag_v2
    if _SUB_IFDS in tags or _DNG_VERSION in tags:
        raise invalid(f"{name} is a camera's raw file or a layered TIFF; save it as a plain TIFF or a JPEG")
    if max(tags.get(_BITS_PER_SAMPLE, (1,))) > 8:
        raise invalid(
            f"{name} is a TIFF of more than 8 bits a sample; save it as a 16-bit PNG or an 8-bit TIFF"
        )
