"""Where samples go, shard by shard: each is there whole or not at all; writing it again changes nothing."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

from cloud_server.augment.formats.croissant import describe
from cloud_server.augment.formats.folder import METADATA
from cloud_server.augment.formats.originals import COLUMNS, Row, group_of
from cloud_server.augment.formats.pictures import sha256
from cloud_server.augment.types import Codec, Kind, Sample, Source
from shared.errors import Code, GoodnoiseError
from shared.files import atomic_file, storage_errors, write_atomically

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["PARTS", "Origin", "Sink"]

PARTS = ".parts"
_JOB = "job"
_SCRATCH = re.compile(r"^\..+\.\d+\.[0-9a-f]{8}$")


@dataclass(frozen=True)
class Origin:
    """What an output derives from, for its description.

    Args:
        dataset: its name.
        licence: under which the output may be used, an SPDX identifier or address; empty for not known.
        job: digest of the job; an output that another job began is refused. Empty looks at nothing.
    """

    dataset: str = ""
    licence: str = ""
    job: str = ""


class Sink(ABC):
    """An output folder.

    Args:
        root: where it is made.
        source: what samples are made from.
        codec: of the samples' files.
        copy_originals: put the source's images beside the samples, byte by byte.
        origin: what the output derives from.

    Raises:
        GoodnoiseError: PRECONDITION for a folder with other things in it, or that another job began.
    """

    def __init__(
        self, root: Path, *, source: Source, codec: Codec, copy_originals: bool, origin: Origin | None = None
    ) -> None:
        self.root, self.source, self.codec = root, source, codec
        self.origin = origin or Origin()
        self.copies = copy_originals
        self.split = source.split or "train"
        with storage_errors(root, setting="--out"):
            _claim(root, self.origin.job and f"{self.origin.job} {'whole' if copy_originals else 'new'}")

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
            parents = _Parents(chain(self.copied() if self.copies else (), self.rows()))
            (self.root / self.metadata).parent.mkdir(exist_ok=True)
            with atomic_file(self.root / self.metadata) as file:
                _write_rows(file, parents.rows())
            self.close()
            text = describe(self, asdict(summary), self.files(), parents=parents.digest)
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
    def copied(self) -> Iterator[Row]:
        """Write the originals, and tell their lines as they are written."""

    def close(self) -> None:  # noqa: B027 - most outputs are whole by then
        """Write what is written of the whole alone."""

    def files(self) -> list[Path]:
        """The data files that the description names one by one."""
        return []

    def sample_name(self, sample: Sample) -> str:
        """Says what it is, and is no other's: kind, number, and the beginning of its digest."""
        kind, number = sample.provenance.kind, sample.provenance.number
        return f"{kind.value}-{number:06d}-{sha256(sample.data)[:8]}"

    def _row(self, sample: Sample, file: str) -> Row:
        row = asdict(sample.provenance)
        row["kind"] = sample.provenance.kind.value
        crossed = row["target"] in self.source.group_names and row["target"] not in self.source.classes
        moved = crossed and sample.provenance.kind is not Kind.UNPERTURBED
        group = row["target"] if moved else group_of(self.source, sample.parent)
        told = {"file_name": file, "label": row["target_label"], "group": group, **row}
        return {**told, "sha256": sha256(sample.data)}

    def _part(self, shard: int, name: str) -> Path:
        return self.root / PARTS / f"{shard:06d}-{name}.json"


class _Parents:
    """The digest over all parents of samples, from lines that pass by."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows, self._digest = rows, hashlib.sha256()

    @property
    def digest(self) -> str:
        """SHA-256 over the column `parent_sha256` of samples, line by line."""
        return self._digest.hexdigest()

    def rows(self) -> Iterator[Row]:
        """The lines."""
        for row in self._rows:
            if "parent_sha256" in row:
                self._digest.update(f"{row['parent_sha256']}\n".encode())
            yield row


def _claim(root: Path, job: str) -> None:
    """Make the folder, or take up one that a run of the same job began."""
    parts = root / PARTS
    if root.exists() and (not root.is_dir() or (any(root.iterdir()) and not parts.is_dir())):
        raise GoodnoiseError(
            Code.PRECONDITION, f"{root} is not empty and no run began it; give another --out, or empty it"
        )
    parts.mkdir(parents=True, exist_ok=True)
    marker = parts / _JOB
    if not job or (marker.exists() and marker.read_text() == job):
        return
    # A job that ended before it wrote anything, perhaps for a mistake in its file, keeps nothing from others.
    if marker.exists() and (any(parts.glob("*-*.json")) or (root / "croissant.json").exists()):
        raise GoodnoiseError(
            Code.PRECONDITION,
            f"{root} was begun with another recipe file or other options; give another --out, or remove it",
        )
    write_atomically(marker, job.encode())


def _write_rows(file: IO[bytes], rows: Iterator[Row]) -> None:
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row)
    text.flush()
    text.detach()
