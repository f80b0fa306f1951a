"""Samples as WAV and back, and from one rate to another."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

__all__ = ["read_wav", "resample", "write_wav"]

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")


def write_wav(samples: npt.NDArray[np.float32], *, rate: int) -> bytes:
    """Samples in [-1,1] as WAV: 16 bits, mono. What lies outside is cut."""
    pcm = np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    header = _HEADER.pack(
        b"RIFF", 36 + len(pcm), b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", len(pcm)
    )
    return header + pcm


def read_wav(content: bytes, *, rate: int) -> npt.NDArray[np.float32]:
    """Samples in [-1,1] at `rate` of a WAV file of 16 bits, mono.

    The length in its header is not asked: a program that writes to a pipe does not know it.

    Raises:
        ValueError: not such a file.
    """
    if len(content) < _HEADER.size:
        raise ValueError(f"a WAV file of {len(content)} bytes is too short: its header has {_HEADER.size}")
    riff, _, wave, _, _, form, channels, own_rate, _, _, bits, data, _ = _HEADER.unpack_from(content)
    if (riff, wave, data, form, channels, bits) != (b"RIFF", b"WAVE", b"data", 1, 1, 16):
        raise ValueError("expected WAV with a plain header, 16 bits, mono")
    count = (len(content) - _HEADER.size) // 2
    samples = np.frombuffer(content, "<i2", count, _HEADER.size).astype(np.float32)
    return resample(samples / np.float32(32768), own_rate, rate)


def resample(samples: npt.NDArray[np.float32], own: int, wanted: int) -> npt.NDArray[np.float32]:
    """The same sound at another rate (Hz), through its spectrum, so that nothing folds over."""
    if own == wanted or not len(samples):
        return samples
    length = max(1, round(len(samples) * wanted / own))
    spectrum = np.fft.rfft(samples)[: length // 2 + 1]
    return (np.fft.irfft(spectrum, length) * (length / len(samples))).astype(np.float32)
