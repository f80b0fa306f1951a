"""What a protected photo may say about its owner.

Whatever can hold the unprotected face goes always: the EXIF thumbnail, maker notes (many hold a preview),
XMP, IPTC and Photoshop blocks, second images behind the first (MPF), depth maps. Only fields of a list are
copied, so an unknown private field cannot leak.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["MetadataPolicy", "clean_exif", "exif_from_tiff", "exif_orientation"]

ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
_GPS_IFD = 0x8825

# Camera, date, author, resolution; Windows' title, comment, author, keywords, subject; rating.
_MAIN = {
    0x010E, 0x010F, 0x0110, ORIENTATION, 0x011A, 0x011B, 0x0128, 0x012D, 0x0131, 0x0132, 0x013B, 0x013E,
    0x013F, 0x0211, 0x0213, 0x0214, 0x4746, 0x4749, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F,
}  # fmt: skip
# Pixel dimensions (0xA002, 0xA003) are left to the file itself, since turning the photo would make them
# wrong.
_EXPOSURE = {
    0x829A, 0x829D, 0x8822, 0x8824, 0x8827, 0x8830, 0x8831, 0x8832, 0x8833, 0x8834, 0x8835, 0x9000, 0x9003,
    0x9004, 0x9010, 0x9011, 0x9012, 0x9101, 0x9102, 0x9286, 0x9290, 0x9291, 0x9292, 0xA000, 0xA001, 0xA20E,
    0xA20F, 0xA210, 0xA215, 0xA217, 0xA300, 0xA301, 0xA500, *range(0x9201, 0x920B), *range(0x9400, 0x9406),
    *range(0xA401, 0xA40B), 0xA40C, 0xA432, 0xA433, 0xA434, *range(0xA436, 0xA43D), 0xA460, 0xA461, 0xA462,
}  # fmt: skip
# Image id, owner, body, lens; they name one camera or one person.
_SERIALS = {0xA420, 0xA430, 0xA431, 0xA435}
_GPS = set(range(0x20))

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
_MAX_VALUE = 8 * 1024
_MAX_BLOCK = 48 * 1024  # a JPEG segment holds 64 KB
_MAX_ENTRIES = 1024


@dataclass(frozen=True)
class MetadataPolicy:
    """What of the metadata is kept.

    Args:
        keep_location: keep the GPS fields.
        keep_serials: keep serial numbers of camera and lens, the owner's name and the image's unique id.
        strip_all: keep nothing but the colour profile and the resolution; beats the other two.
    """

    keep_location: bool = False
    keep_serials: bool = False
    strip_all: bool = False


@dataclass(frozen=True)
class _Field:
    tag: int
    kind: int
    count: int
    content: bytes


@dataclass(frozen=True)
class _Reader:
    """Fields of TIFF directories in `data`; what is malformed is left out."""

    data: bytes
    order: str

    @classmethod
    def open(cls, data: bytes) -> _Reader | None:
        orders = {b"II*\x00": "<", b"MM\x00*": ">"}
        order = orders.get(data[:4])
        return cls(data, order) if order and len(data) >= 8 else None

    def first(self) -> int:
        return int(struct.unpack_from(self.order + "I", self.data, 4)[0])

    def fields(self, place: int) -> dict[int, _Field]:
        if not 8 <= place <= len(self.data) - 2:
            return {}
        (count,) = struct.unpack_from(self.order + "H", self.data, place)
        found = (self._field(place + 2 + 12 * i) for i in range(min(count, _MAX_ENTRIES)))
        return {field.tag: field for field in found if field is not None}

    def _field(self, place: int) -> _Field | None:
        if place + 12 > len(self.data):
            return None
        tag, kind, count = struct.unpack_from(self.order + "HHI", self.data, place)
        size = _TYPE_BYTES.get(kind, 0) * count
        if not 0 < size <= _MAX_VALUE:
            return None
        start = place + 8
        if size > 4:
            (start,) = struct.unpack_from(self.order + "I", self.data, place + 8)
        content = self.data[start : start + size]
        return _Field(tag, kind, count, content) if len(content) == size else None

    def pointer(self, fields: dict[int, _Field], tag: int) -> int:
        field = fields.get(tag)
        if field is None or field.kind not in (4, 13) or len(field.content) != 4:
            return 0
        return int(struct.unpack(self.order + "I", field.content)[0])


def clean_exif(exif: bytes, policy: MetadataPolicy, *, orientation: int = 1) -> bytes:
    """The EXIF block that a protected photo carries.

    Args:
        exif: a block from its TIFF header on; anything else counts as no EXIF.
        policy: what is kept.
        orientation: value of the orientation field, 1 to 8; 1 leaves the field out.

    Returns:
        a new block without thumbnail, maker note and unknown fields; empty when nothing is left.
    """
    reader = None if policy.strip_all else _Reader.open(exif)
    order = reader.order if reader else "<"
    main: list[_Field] = []
    parts: list[tuple[int, list[_Field]]] = []
    if reader is not None:
        fields = reader.fields(reader.first())
        main = _chosen(fields, _MAIN - {ORIENTATION})
        exposure = _EXPOSURE | (_SERIALS if policy.keep_serials else set())
        wanted = [(_EXIF_IFD, exposure)] + ([(_GPS_IFD, _GPS)] if policy.keep_location else [])
        chosen = ((tag, _chosen(reader.fields(reader.pointer(fields, tag)), tags)) for tag, tags in wanted)
        parts = [(tag, kept) for tag, kept in chosen if kept]
    if orientation != 1:
        main.append(_Field(ORIENTATION, 3, 1, struct.pack(order + "H", orientation)))
    if not main and not parts:
        return b""
    block = _write(order, main, parts)
    return block if len(block) <= _MAX_BLOCK else _write(order, [f for f in main if f.tag == ORIENTATION], [])


def exif_orientation(exif: bytes) -> int:
    """The orientation field of a block, 1 when it has none or an impossible one."""
    reader = _Reader.open(exif)
    field = reader.fields(reader.first()).get(ORIENTATION) if reader else None
    if reader is None or field is None or field.kind != 3:
        return 1
    value = int(struct.unpack_from(reader.order + "H", field.content)[0])
    return value if 1 <= value <= 8 else 1


def exif_from_tiff(data: bytes) -> bytes:
    """Every field of the first directory of a TIFF file that a photo may carry, as a block of its own."""
    everything = MetadataPolicy(keep_location=True, keep_serials=True)
    return clean_exif(data, everything)


def _chosen(fields: dict[int, _Field], tags: Iterable[int]) -> list[_Field]:
    return [fields[tag] for tag in sorted(tags) if tag in fields]


def _write(order: str, main: list[_Field], parts: list[tuple[int, list[_Field]]]) -> bytes:
    head = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(order + "I", 8)
    place = 8 + _directory_size(main, len(parts))
    pointers: list[_Field] = []
    tail = b""
    for tag, fields in parts:
        pointers.append(_Field(tag, 4, 1, struct.pack(order + "I", place + len(tail))))
        tail += _directory(order, fields, place + len(tail))
    return head + _directory(order, main + pointers, 8) + tail


def _directory_size(fields: list[_Field], pointers: int) -> int:
    values = sum(len(f.content) + (len(f.content) & 1) for f in fields if len(f.content) > 4)
    return 2 + 12 * (len(fields) + pointers) + 4 + values


def _directory(order: str, fields: list[_Field], place: int) -> bytes:
    entries, values = b"", b""
    start = place + 2 + 12 * len(fields) + 4
    for field in sorted(fields, key=lambda f: f.tag):
        inline = field.content.ljust(4, b"\x00")
        if len(field.content) > 4:
            inline = struct.pack(order + "I", start + len(values))
            values += field.content + b"\x00" * (len(field.content) & 1)
        entries += struct.pack(order + "HHI", field.tag, field.kind, field.count) + inline
    # The last four bytes point at the directory of a thumbnail: none.
    return struct.pack(order + "H", len(fields)) + entries + b"\x00" * 4 + values
