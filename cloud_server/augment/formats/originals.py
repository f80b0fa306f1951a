"""Lines of metadata.csv, names of files, and images of the source as they go into an output unchanged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias

from cloud_server.augment.formats.pictures import png, sha256
from cloud_server.augment.types import Provenance, Source
from shared.files import write_atomically

__all__ = [
    "COLUMNS",
    "ORIGINAL",
    "Original",
    "Row",
    "copy",
    "group_of",
    "original_row",
    "originals",
    "safe",
]

# One line of metadata.csv.
Row: TypeAlias = dict[str, Any]
# What `kind` says of images that were there before.
ORIGINAL = "original"
# `sha256` is of the image's file.
COLUMNS = ("file_name", "label", "group", *(field.name for field in fields(Provenance)), "sha256")
# Of a file's name without its suffix; file systems take 255 bytes with it.
_LONGEST = 120
_UNSAFE = re.compile(r"[^\w .()+=-]+")


def safe(name: str) -> str:
    """A name as one part of a path on any system.

    Other characters become '_'; a name that had to change ends in the beginning of its digest, so that two
    names never become one.
    """
    plain = _UNSAFE.sub("_", name).strip(" .")
    if name and plain == name and len(name.encode()) <= _LONGEST:
        return name
    stem, dot, suffix = plain.rpartition(".")
    if not stem or len(suffix) > 5:
        stem, dot, suffix = plain, "", ""
    short = stem.encode()[: _LONGEST - 20].decode(errors="ignore")
    return f"{short}-{sha256(name.encode(errors='surrogatepass'))[:8]}{dot}{suffix}".lstrip("-")


class Original:
    """An image of the source, as it goes into the output: its bytes are not changed.

    Args:
        source: the dataset.
        index: of the image.
    """

    def __init__(self, source: Source, index: int) -> None:
        self.source, self.index = source, index
        self.name = source.name(index)
        self.label = source.classes[source.labels[index]]
        stored = getattr(source, "data", None)
        self.data: bytes = stored(index) if stored is not None else png(source.read(index))

    @property
    def suffix(self) -> str:
        """With the dot, of what the bytes are."""
        for start, suffix in (
            (b"\x89PNG", ".png"),
            (b"\xff\xd8", ".jpg"),
            (b"BM", ".bmp"),
            (b"GIF8", ".gif"),
        ):
            if self.data.startswith(start):
                return suffix
        return ".webp" if self.data[8:12] == b"WEBP" else ".tif"

    def row(self, file: str) -> Row:
        """Its line of metadata.csv."""
        return {**original_row(self.source, self.index, file), "sha256": sha256(self.data)}


def original_row(source: Source, index: int, file: str) -> Row:
    """The line of an image that was there before, without its digest."""
    label = source.classes[source.labels[index]]
    return {"file_name": file, "label": label, "group": group_of(source, index), "kind": ORIGINAL}


def originals(source: Source) -> Iterator[Original]:
    """Every image of a dataset, one at a time."""
    for index in range(len(source)):
        yield Original(source, index)


def copy(data: bytes, path: Path) -> None:
    """An original's bytes, where they are not there yet: an image that changed may have kept its size."""
    if not path.is_file() or path.stat().st_size != len(data) or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)


def group_of(source: Source, index: int) -> str:
    """The value of the bias attribute by name; empty where there is none."""
    return "" if source.groups is None else source.group_names[source.groups[index]]
