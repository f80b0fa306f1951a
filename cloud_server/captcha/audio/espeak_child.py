"""Speaks words with the eSpeak NG library, in a process of its own.

Run as a script, with the standard library alone: eSpeak NG is GPL-3 and is never loaded into the service.
Standard input: one JSON object, `{"library": path, "data": path, "utterances": [{"voice", "word", "speed",
"pitch"}]}`. Standard output: the samples' rate (Hz), then for each utterance its number of samples and the
samples; numbers are 32 bits and samples 16 bits, all little-endian. An unknown voice gives no samples.
"""

from __future__ import annotations

import ctypes
import json
import struct
import sys
from collections.abc import Mapping
from typing import Any, TypeAlias

__all__ = ["main"]

# Names and values of espeak-ng/speak_lib.h.
_OUTPUT_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_RATE, _PITCH = 1, 3
_CHARS_UTF8 = 1
_Pointer: TypeAlias = "ctypes._Pointer[ctypes.c_short]"
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class _Espeak:
    def __init__(self, library: str, data: str) -> None:
        self._lib = ctypes.CDLL(library)
        self.rate: int = self._lib.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, data.encode(), _DONT_EXIT)
        if self.rate <= 0:
            raise RuntimeError(f"eSpeak NG finds no voices in {data}")
        self._samples = bytearray()
        self._callback = _Callback(self._take)  # held here: the library keeps a bare pointer
        self._lib.espeak_SetSynthCallback(self._callback)

    def _take(self, samples: _Pointer, count: int, _events: object) -> int:
        if samples and count > 0:
            self._samples.extend(ctypes.string_at(samples, 2 * count))
        return 0

    def speak(self, utterance: Mapping[str, Any]) -> bytes:
        self._samples.clear()
        if self._lib.espeak_SetVoiceByName(utterance["voice"].encode()) != 0:
            return b""
        self._lib.espeak_SetParameter(_RATE, int(utterance["speed"]), 0)
        self._lib.espeak_SetParameter(_PITCH, int(utterance["pitch"]), 0)
        word = utterance["word"].encode()
        size = ctypes.c_size_t(len(word) + 1)
        self._lib.espeak_Synth(word, size, ctypes.c_uint(0), 0, ctypes.c_uint(0), _CHARS_UTF8, None, None)
        return bytes(self._samples)


def main() -> None:
    """Answers one request."""
    request = json.load(sys.stdin.buffer)
    espeak = _Espeak(request["library"], request["data"])
    out = sys.stdout.buffer
    out.write(struct.pack("<I", espeak.rate))
    for utterance in request["utterances"]:
        samples = espeak.speak(utterance)
        out.write(struct.pack("<I", len(samples) // 2) + samples)


if __name__ == "__main__":
    main()
