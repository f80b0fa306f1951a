"""Tesseract, the program of Debian's package tesseract-ocr, asked once for all images."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from cloud_server.captcha.challenges.types import DRAWN
from cloud_server.captcha.report.preprocess import Grey
from shared.errors import Code, GoodnoiseError

__all__ = ["Tesseract"]

# Seconds an image may take before the program counts as stuck.
_PATIENCE = 20
_PAGE = "\f"


@dataclass(frozen=True)
class Tesseract:
    """The program as an attacker starts it: one line of text, characters of the alphabet only.

    Args:
        program: its path.
        version: as it says.
        seen: whether the images were made against it.
    """

    program: str
    version: str
    seen: bool
    name: str = "tesseract"

    @classmethod
    def open(cls, *, seen: bool) -> Tesseract:
        """The installed program.

        Raises:
            GoodnoiseError: PRECONDITION when there is none, or it does not start.
        """
        program = shutil.which("tesseract")
        if program is None:
            raise GoodnoiseError(
                Code.PRECONDITION, "tesseract is not installed; its Debian package is tesseract-ocr"
            )
        said = _run([program, "--version"], timeout=_PATIENCE).splitlines()
        return cls(program, said[0].removeprefix("tesseract ") if said else "", seen)

    def read(self, images: Sequence[Grey]) -> list[str]:
        """Texts of images uint8 H W.

        Raises:
            GoodnoiseError: PRECONDITION when the program fails.
        """
        if not images:
            return []
        try:
            said = self._say(images)
        except _CrashedError:
            return self._read_in_parts(images)
        pages = said.split(_PAGE)[: len(images)]
        if len(pages) < len(images):
            raise GoodnoiseError(
                Code.PRECONDITION, f"tesseract read {len(pages)} of {len(images)} images; try it on its own"
            )
        return ["".join(c for c in page.upper() if c in DRAWN) for page in pages]

    def _say(self, images: Sequence[Grey]) -> str:
        with tempfile.TemporaryDirectory() as folder:
            return _run(self._command(Path(folder), images), timeout=_PATIENCE * len(images))

    def _read_in_parts(self, images: Sequence[Grey]) -> list[str]:
        """The images that it dies of count as not read; the others are read without them."""
        if len(images) == 1:
            return [""]
        middle = len(images) // 2
        return self.read(images[:middle]) + self.read(images[middle:])

    def _command(self, folder: Path, images: Sequence[Grey]) -> list[str]:
        paths = [folder / f"{index}.png" for index in range(len(images))]
        for path, image in zip(paths, images, strict=True):
            path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        names = folder / "names.txt"
        names.write_text("\n".join(map(str, paths)) + "\n", encoding="utf-8")
        settings = {"tessedit_char_whitelist": DRAWN, "page_separator": _PAGE}
        pairs = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [self.program, str(names), "-", "--dpi", "120", "--psm", "7", *pairs]


class _CrashedError(Exception):
    """The program died of an arithmetic fault in one of the images."""


def _run(command: Sequence[str], *, timeout: float) -> str:
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - a program found on the path, arguments of our own
            command, capture_output=True, text=True, check=True, timeout=timeout, env=environment
        )
    except subprocess.CalledProcessError as error:
        # Release 5.3 divides by zero in the layout of some noisy pictures; that is no failure of the setup.
        if error.returncode == -signal.SIGFPE:
            raise _CrashedError from error
        raise GoodnoiseError(Code.PRECONDITION, f"tesseract failed: {error}") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise GoodnoiseError(Code.PRECONDITION, f"tesseract failed: {error}") from error
    return done.stdout
