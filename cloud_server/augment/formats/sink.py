"""Where samples go, shard by shard: each is there whole or not at all; writing it again changes nothing."""

from __future__ import annotations

import csv
import io
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from cloud_server.augment.formats.croissant import describe
from cloud_server.augment.formats.folder import METADATA
from cloud_server.augment.formats.pictures import decode, png, sha256
from cloud_server.augment.types import Codec, Kind, Picture, Provenance, Sample, Source
from shared.errors import Code, GoodnoiseError
from shared.files import atomic_file, storage_errors, write_atomically

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "COLUMNS",
    "ORIGINAL",
    "PARTS",
    "Original",
    "Row",
    "Sink",
    "copy",
    "originals",
    "picture_of",
    "safe",
]

# One line of metadata.csv.
Row: TypeAlias = dict[str, Any]
# What `kind` says of images that were there before.
ORIGINAL = "original"
COLUMNS = ("file_name", "label", "group", *(field.name for field in fields(Provenance)))
PARTS = ".parts"
_SCRATCH = re.compile(r"^\..+\.\d+\.[0-9a-f]{8}$")
_UNSAFE = re.compile(r"[^\w .()+=-]+")


def safe(name: str) -> str:
    """A name as one part of a path on any system: other characters become '_'."""
    return _UNSAFE.sub("_", name).strip(" .") or "_"


class Original:
    """An image of the source, as it goes into the output: its bytes are not changed.

    Args:
        source: the dataset.
        index: of the image.
    """

    def __init__(self, source: Source, index: int) -> None:
        self.index = index
        self.name = source.name(index)
        self.label = source.classes[source.labels[index]]
        self.group = _group_of(source, index)
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
        return {"file_name": file, "label": self.label, "group": self.group, "kind": ORIGINAL}


def originals(source: Source) -> Iterator[Original]:
    """Every image of a dataset, one at a time."""
    for index in range(len(source)):
        yield Original(source, index)


class Sink(ABC):
    """An output folder.

    Args:
        root: where it is made.
        source: what samples are made from.
        codec: of the samples' files.
        copy_originals: put the source's images beside the samples, byte by byte.

    Raises:
        GoodnoiseError: PRECONDITION for a folder with other things in it.
    """

    def __init__(self, root: Path, *, source: Source, codec: Codec, copy_originals: bool) -> None:
        self.root, self.source, self.codec = root, source, codec
        self.copies = copy_originals
        self.split = source.split or "train"
        with storage_errors(root, setting="--out"):
            _claim(root)

    def sweep(self) -> None:
        """Remove what a killed run left half-written; not while another process writes to the same output."""
        with storage_errors(self.root, setting="--out"):
            for path in self.root.rglob(".*"):
                if _SCRATCH.match(path.name) and path.is_file():
                    path.unlink()

    def has(self, shard: int, name: str) -> bool:
        """Whether the shard of that name was written whole."""
        return self._part(shard, name).is_file()

    def write(self, shard: int, name: str, samples: Sequence[Sample]) -> None:
        """Write a shard, whole or not at all, instead of another of that number.

        Args:
            shard: its place in the run, from 0.
            name: hash of all that its bytes follow from.
            samples: in the order of the plan.
        """
        with storage_errors(self.root, setting="--out"):
            for old in self.root.joinpath(PARTS).glob(f"{shard:06d}-*.json"):
                self.remove(shard, json.loads(old.read_bytes()))
                old.unlink()
            files = self.put(shard, samples)
            rows = [self._row(sample, file) for sample, file in zip(samples, files, strict=True)]
            # Last: a shard without it is written again.
            write_atomically(self._part(shard, name), json.dumps(rows).encode())

    def finish(self, summary: DataclassInstance) -> None:
        """Add the originals, metadata.csv and the Croissant description.

        Args:
            summary: of the run; what the description says of it.
        """
        with storage_errors(self.root, setting="--out"):
            files, rows = self.close(self.copies)
            with atomic_file(self.root / self.metadata) as file:
                _write_rows(file, rows)
            text = describe(self, asdict(summary), files)
            write_atomically(self.root / "croissant.json", text.encode())

    @property
    def metadata(self) -> str:
        """Where metadata.csv lies."""
        return METADATA

    def rows(self) -> Iterator[Row]:
        """Lines of all samples, in the order of the plan; a shard at a time is in memory."""
        for path in sorted(self.root.joinpath(PARTS).glob("*-*.json")):
            yield from json.loads(path.read_bytes())

    @abstractmethod
    def put(self, shard: int, samples: Sequence[Sample]) -> list[str]:
        """Write the samples' files; returns their names in metadata.csv."""

    @abstractmethod
    def remove(self, shard: int, rows: Sequence[Row]) -> None:
        """Remove what `put` wrote for a shard."""

    @abstractmethod
    def close(self, copies: bool) -> tuple[list[Path], Iterator[Row]]:  # noqa: FBT001 - one caller, above
        """Write the originals where they are wanted; returns data files to describe, and all lines."""

    def sample_name(self, sample: Sample) -> str:
        """Says what it is, and is no other's: kind, number, and the beginning of its digest."""
        kind, number = sample.provenance.kind, sample.provenance.number
        return f"{kind.value}-{number:06d}-{sha256(sample.data)[:8]}"

    def _row(self, sample: Sample, file: str) -> Row:
        row = asdict(sample.provenance)
        row["kind"] = sample.provenance.kind.value
        crossed = row["target"] in self.source.group_names and row["target"] not in self.source.classes
        moved = crossed and sample.provenance.kind is not Kind.UNPERTURBED
        group = row["target"] if moved else _group_of(self.source, sample.parent)
        return {"file_name": file, "label": row["target_label"], "group": group, **row}

    def _part(self, shard: int, name: str) -> Path:
        return self.root / PARTS / f"{shard:06d}-{name}.json"


def _group_of(source: Source, index: int) -> str:
    return "" if source.groups is None else source.group_names[source.groups[index]]


def _claim(root: Path) -> None:
    """Make the folder, or take up one that a run began."""
    parts = root / PARTS
    if root.exists() and (not root.is_dir() or (any(root.iterdir()) and not parts.is_dir())):
        raise GoodnoiseError(
            Code.PRECONDITION, f"{root} is not empty and no run began it; give another --out, or empty it"
        )
    parts.mkdir(parents=True, exist_ok=True)


def _write_rows(file: IO[bytes], rows: Iterator[Row]) -> None:
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row)
    text.flush()
    text.detach()


def copy(data: bytes, path: Path) -> None:
    """An original's bytes, where they are not there yet."""
    if not path.is_file() or path.stat().st_size != len(data):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)


def picture_of(original: Original) -> Picture:
    """The decoded pixels of an original, H W C."""
    return decode(original.data, original.name)
