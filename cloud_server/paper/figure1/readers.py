"""Readers that nobody trained or attacked here: tesseract, ddddocr, and PP-OCR of the zoo."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from cloud_server.paper.figure1.settings import LETTERS
from models.text.reading import open_reader
from shared.errors import Code, GoodnoiseError

__all__ = ["Reader", "public_readers", "tesseract"]

Levels = npt.NDArray[np.uint8]
_PPOCR = "ppocr-v6-rec"
# Images uint8 N S S in; a text each, upper case, out.
Reader = Callable[[Levels], list[str]]

# Both were made for characters larger than ours, and tesseract for a margin.
_ENLARGED, _MARGIN = 3, 16
# Seconds for one image; noise makes tesseract slow, and a hanging process must not hold a run.
_PATIENCE = 2.0


def public_readers() -> dict[str, Reader]:
    """Those that are here, by name: a system program, a package, and a network of the zoo.

    Raises:
        GoodnoiseError: CORRUPT when the zoo's file is damaged.
    """
    found: dict[str, Reader] = {}
    program = shutil.which("tesseract")
    if program is not None:
        found["tesseract"] = lambda images: tesseract(program, images)
    if find_spec("ddddocr") is not None:
        found["ddddocr"] = _Ddddocr().read
    with _missing_is_fine():
        network = open_reader(_PPOCR)
        found[_PPOCR] = lambda images: [text.strip().upper() for text in network.read(list(images))]
    return found


@contextmanager
def _missing_is_fine() -> Iterator[None]:
    """Pass over a network that was not fetched."""
    try:
        yield
    except GoodnoiseError as error:
        if error.code is not Code.PRECONDITION:
            raise


def tesseract(program: str, images: Levels) -> list[str]:
    """What tesseract reads as one character of A to Z, all images in one process.

    Args:
        program: path of the program.
        images: uint8 N S S.

    Raises:
        GoodnoiseError: UNAVAILABLE when it fails, gives up or answers for fewer images.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index}.png" for index in range(len(images))]
        for path, image in zip(paths, images, strict=True):
            path.write_bytes(_png(_with_margin(_enlarged(image))))
        listed = Path(folder) / "list.txt"
        listed.write_text("".join(f"{path}\n" for path in paths))
        text = _output(program, listed, len(images))
    pages = [page.strip() for page in text.split("\f")][: len(images)]
    if len(pages) != len(images):
        raise GoodnoiseError(
            Code.UNAVAILABLE, f"{program} answered for {len(pages)} of {len(images)} images; check it"
        )
    return pages


def _output(program: str, listed: Path, count: int) -> str:
    words = [program, str(listed), "-", "--psm", "10", "-c", f"tessedit_char_whitelist={LETTERS}"]
    try:
        done = subprocess.run(  # noqa: S603 - a program found on the path, arguments of our own
            words,
            capture_output=True,
            text=True,
            check=True,
            timeout=10 + _PATIENCE * count,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise GoodnoiseError(Code.UNAVAILABLE, f"{program} failed ({error}); mend or remove it") from error
    return done.stdout


@dataclass
class _Ddddocr:
    """A CRNN for CAPTCHAs of any text, loaded at its first image; case is not told apart."""

    _network: object = None

    def read(self, images: Levels) -> list[str]:
        import ddddocr

        if self._network is None:
            self._network = ddddocr.DdddOcr(show_ad=False)
        read = self._network.classification  # type: ignore[attr-defined]
        return [str(read(_png(_enlarged(image)))).strip().upper() for image in images]


def _enlarged(image: Levels) -> Levels:
    size = (image.shape[1] * _ENLARGED, image.shape[0] * _ENLARGED)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def _with_margin(image: Levels) -> Levels:
    return np.pad(image, _MARGIN, constant_values=int(np.median(image)))


def _png(image: Levels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()
