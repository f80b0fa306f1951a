"""Reading verification sets in InsightFace's `.bin` form (AgeDB-30, CFP-FP, LFW), without trusting them.

Such a file is a pickle of `(bins, issame)`: encoded pictures, two a pair, and one truth value a pair. What
may be in it is in `plain_pickle`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from cloud_server.paper.plain_pickle import PlainArray, load_plain
from shared.errors import Code, GoodnoiseError

__all__ = ["MAX_FILE_BYTES", "MAX_PAIRS", "decoded", "read_bin"]

Pixels = npt.NDArray[np.uint8]

# AgeDB-30 and CFP-FP have 6,000 and 7,000 pairs in 80 and 90 MB.
MAX_FILE_BYTES = 1 << 30
MAX_PAIRS = 100_000
MAX_PICTURE_BYTES = 4 << 20
MAX_SIDE = 1024


def read_bin(path: Path) -> tuple[list[bytes], list[bool]]:
    """The encoded pictures, two a pair, and whether each pair shows one person.

    Raises:
        GoodnoiseError: NOT_FOUND, or CORRUPT for a file that is too large, that holds anything but pictures
            and truth values, or whose lengths do not fit.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _bad(path, f"it has more than {MAX_FILE_BYTES >> 20} MB")
        content = path.read_bytes()
    except OSError as error:
        raise GoodnoiseError(Code.NOT_FOUND, f"{path} cannot be read ({error.strerror})") from error
    try:
        return _checked(load_plain(content), path)
    except ValueError as error:
        raise _bad(path, str(error)) from error


def _checked(loaded: object, path: Path) -> tuple[list[bytes], list[bool]]:
    if not isinstance(loaded, tuple | list) or len(loaded) != 2:
        raise _bad(path, "it is no pair of pictures and truth values")
    pictures, same = loaded
    same = list(same.content) if isinstance(same, PlainArray) else same
    if not isinstance(pictures, list | tuple) or not isinstance(same, list | tuple):
        raise _bad(path, "it is no pair of lists")
    if not 1 <= len(same) <= MAX_PAIRS or len(pictures) != 2 * len(same):
        raise _bad(path, f"{len(pictures)} pictures for {len(same)} pairs, expected two a pair")
    return [_picture(item, path) for item in pictures], _truths(list(same), path)


def _picture(item: object, path: Path) -> bytes:
    content = item.content if isinstance(item, PlainArray) else item
    if not isinstance(content, bytes):
        raise _bad(path, f"a {type(item).__name__} stands where a picture belongs")
    if len(content) > MAX_PICTURE_BYTES:
        raise _bad(path, f"a picture has more than {MAX_PICTURE_BYTES >> 20} MB")
    return content


def _truths(same: Sequence[object], path: Path) -> list[bool]:
    wrong = [item for item in same if not isinstance(item, int) or item not in (0, 1)]
    if wrong:
        raise _bad(path, f"{wrong[0]!r} stands where a truth value belongs")
    return [bool(item) for item in same]


def decoded(content: bytes, *, what: str) -> Pixels:
    """A picture's pixels, uint8 H W 3, RGB.

    Args:
        content: an encoded picture, as a JPEG or PNG file.
        what: names it in messages.

    Raises:
        GoodnoiseError: CORRUPT when it is no whole picture or larger than 1024 pixels a side.
    """
    if content.startswith(b"\xff\xd8") and not content.rstrip(b"\0").endswith(b"\xff\xd9"):
        # OpenCV fills what is missing of a JPEG with grey and says nothing.
        raise GoodnoiseError(Code.CORRUPT, f"{what} is a JPEG that was cut off; fetch the set again")
    height, width = _size(content)
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise GoodnoiseError(
            Code.CORRUPT, f"{what} is no picture of at most {MAX_SIDE} pixels a side; fetch the set again"
        )
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise GoodnoiseError(Code.CORRUPT, f"{what} cannot be decoded; fetch the set again")
    return np.ascontiguousarray(pixels[:, :, ::-1], dtype=np.uint8)


def _size(content: bytes) -> tuple[int, int]:
    """Height and width out of the header, before anything is decoded; zeros when there is none."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as picture:
            return picture.height, picture.width
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return 0, 0


def _bad(path: Path, reason: str) -> GoodnoiseError:
    return GoodnoiseError(
        Code.CORRUPT, f"{path} is no verification set in .bin form: {reason}; fetch it again or name another"
    )
