"""The speech engine, eSpeak NG, always in a process of its own: it is GPL-3, and the service is not.

Either the program `espeak-ng` of the system, or the library that the PyPI package `espeakng-loader` brings.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from cloud_server.captcha.audio.wav import read_wav, resample
from shared.errors import Code, GoodnoiseError

__all__ = ["RATE", "Engine", "LibraryEngine", "ProgramEngine", "Samples", "Utterance", "find_engine"]

Samples: TypeAlias = npt.NDArray[np.float32]

# Hz, of all that is made here: what a telephone of today carries, and a quarter of a music file's size.
RATE = 16_000
_PROGRAM = "espeak-ng"
_PACKAGE = "espeakng_loader"
_LIBRARIES = ("libespeak-ng.so", "libespeak-ng.dylib", "espeak-ng.dll")
_CHILD = Path(__file__).with_name("espeak_child.py")
_SECONDS = 60.0  # a word takes 10 ms; a machine may be busy


@dataclass(frozen=True)
class Utterance:
    """One word to speak.

    Args:
        voice: of the engine, with its variant, such as `en-us+f2`.
        word: in the voice's language.
        speed: words a minute.
        pitch: 0 to 99.
    """

    voice: str
    word: str
    speed: int = 140
    pitch: int = 50


class Engine(Protocol):
    """Turns words into samples in [-1,1] at `RATE`."""

    def record(self, utterances: Sequence[Utterance]) -> list[Samples]:
        """The utterances' samples, in order; none for a voice that the engine does not have.

        Raises:
            GoodnoiseError: UNAVAILABLE when the engine breaks or takes too long.
        """


class ProgramEngine:
    """The system's program, started once for each word.

    Args:
        program: its path.
    """

    def __init__(self, program: str) -> None:
        self._program = program

    def record(self, utterances: Sequence[Utterance]) -> list[Samples]:
        """See `Engine`."""
        return [self._speak(utterance) for utterance in utterances]

    def _speak(self, utterance: Utterance) -> Samples:
        options = ["-v", utterance.voice, "-s", str(utterance.speed), "-p", str(utterance.pitch)]
        command = [self._program, *options, "--stdin", "--stdout"]
        spoken = _run(command, utterance.word.encode(), check=False)
        return read_wav(spoken, rate=RATE) if spoken else np.zeros(0, np.float32)


class LibraryEngine:
    """The library, loaded by a child process that speaks all words of a call.

    Args:
        library: the shared library's file.
        data: folder of its voices.
    """

    def __init__(self, library: Path, data: Path) -> None:
        self._library = library
        self._data = data

    def record(self, utterances: Sequence[Utterance]) -> list[Samples]:
        """See `Engine`."""
        request = {
            "library": str(self._library),
            "data": str(self._data),
            "utterances": [asdict(utterance) for utterance in utterances],
        }
        answer = _run([sys.executable, "-I", str(_CHILD)], json.dumps(request).encode(), check=True)
        return _parts(answer, len(utterances))


def find_engine() -> Engine:
    """The system's program where there is one, else the library of `espeakng-loader`.

    Raises:
        GoodnoiseError: PRECONDITION when there is neither.
    """
    if program := shutil.which(_PROGRAM):
        return ProgramEngine(program)
    if library := _packaged():
        return library
    message = (
        "no speech engine: install espeak-ng with the system's packages, or 'pip install espeakng-loader'; "
        "without one no audio is offered"
    )
    raise GoodnoiseError(Code.PRECONDITION, message)


def _packaged() -> LibraryEngine | None:
    # The package is located, not imported: nothing of the engine runs in this process.
    spec = importlib.util.find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    for folder in map(Path, folders or ()):
        for name in _LIBRARIES:
            if (folder / name).is_file():
                return LibraryEngine(folder / name, folder / "espeak-ng-data")
    return None


def _run(command: list[str], stdin: bytes, *, check: bool) -> bytes:
    environment = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TMPDIR") if name in os.environ}
    environment["LC_ALL"] = "C.UTF-8"  # the program reads words in the locale's encoding
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and no word of a visitor
            command, input=stdin, capture_output=True, check=check, timeout=_SECONDS, env=environment
        )
    except (OSError, subprocess.SubprocessError) as error:
        message = (
            f"the speech engine {command[0]} failed ({type(error).__name__}); see whether it runs by hand"
        )
        raise GoodnoiseError(Code.UNAVAILABLE, message) from error
    return done.stdout if done.returncode == 0 else b""


def _parts(answer: bytes, count: int) -> list[Samples]:
    try:
        (rate,) = struct.unpack_from("<I", answer)
        parts, at = [], 4
        for _ in range(count):
            (length,) = struct.unpack_from("<I", answer, at)
            samples = np.frombuffer(answer, "<i2", length, at + 4).astype(np.float32)
            parts.append(resample(samples / np.float32(32768), rate, RATE))
            at += 4 + 2 * length
    except (struct.error, ValueError) as error:
        message = "the speech engine's process ended early; see whether espeakng-loader is whole"
        raise GoodnoiseError(Code.UNAVAILABLE, message) from error
    return parts
