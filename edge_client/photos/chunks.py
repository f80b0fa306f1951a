"""Walking the containers of PNG and WebP, as far as saving in the same quality class needs it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

__all__ = ["insert_png_chunks", "png_chunks", "webp_chunks", "webp_quality"]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Chunks of a PNG as (type, content), in order; ends quietly where the file does."""
    place = len(_PNG_SIGNATURE)
    while place + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length


def insert_png_chunks(data: bytes, chunks: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """The PNG with these chunks behind its header."""
    head = len(_PNG_SIGNATURE) + 12 + 13
    added = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return data[:head] + added + data[head:]


def webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Chunks of a WebP's RIFF container as (type, content), in order; ends quietly where the file does."""
    place = 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        yield kind, data[place + 8 : place + 8 + length]
        place += 8 + length + (length & 1)


def webp_quality(frame: bytes) -> int:
    """The quality that libwebp would give a lossy frame's finest quantiser, so that saving is no coarser.

    Args:
        frame: content of a 'VP8 ' chunk.

    Returns:
        quality in [0,100]; 95 when the frame header cannot be read.

    Source:
        RFC 6386, 9.2-9.6 for the header; the map is the inverse of libwebp's `QualityToCompression`.
    """
    try:
        index = _finest_quantiser(frame)
    except (IndexError, ValueError):
        return 95
    linear = (1.0 - min(index, 127) / 127.0) ** 3
    quality = 1.5 * linear if linear < 0.5 else (linear + 1.0) / 2.0
    return min(100, max(0, round(100.0 * quality + 0.5)))


class _BoolDecoder:
    """RFC 6386's arithmetic decoder, for header bits of even probability."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._value = data[0] << 8 | data[1]
        self._place = 2
        self._range = 255
        self._bits = 0

    def bit(self) -> int:
        split = 1 + ((self._range - 1) >> 1)
        taken = self._value >= split << 8
        if taken:
            self._range -= split
            self._value -= split << 8
        else:
            self._range = split
        while self._range < 128:
            self._value <<= 1
            self._range <<= 1
            self._bits += 1
            if self._bits == 8:
                self._bits = 0
                self._value |= self._data[self._place]
                self._place += 1
        return int(taken)

    def number(self, bits: int) -> int:
        value = 0
        for _ in range(bits):
            value = value << 1 | self.bit()
        return value

    def optional_signed(self, bits: int) -> int:
        if not self.bit():
            return 0
        magnitude = self.number(bits)
        return -magnitude if self.bit() else magnitude


def _finest_quantiser(frame: bytes) -> int:
    if frame[0] & 1 or frame[3:6] != b"\x9d\x01\x2a":
        raise ValueError("no key frame")
    bits = _BoolDecoder(frame[10:])
    bits.number(2)  # colour space, clamping
    deltas, absolute = _segment_quantisers(bits)
    bits.number(1 + 6 + 3)  # loop filter: type, level, sharpness
    if bits.bit() and bits.bit():
        for _ in range(8):
            bits.optional_signed(6)
    bits.number(2)  # token partitions
    base = bits.number(7)
    quantisers = deltas if absolute else [base + delta for delta in deltas]
    return max(0, min(quantisers))


def _segment_quantisers(bits: _BoolDecoder) -> tuple[list[int], bool]:
    if not bits.bit():
        return [0], False
    updates_map, updates_data = bits.bit(), bits.bit()
    quantisers, absolute = [0], False
    if updates_data:
        absolute = bool(bits.bit())
        quantisers = [bits.optional_signed(7) for _ in range(4)]
        for _ in range(4):
            bits.optional_signed(6)
    if updates_map:
        for _ in range(3):
            if bits.bit():
                bits.number(8)
    return quantisers, absolute
