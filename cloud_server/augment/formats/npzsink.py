"""One output of arrays, an .npz file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np

from cloud_server.augment.formats.originals import Row, original_row
from cloud_server.augment.formats.sink import PARTS, Sink
from cloud_server.augment.types import Picture, Sample
from shared.errors import Code, GoodnoiseError
from shared.files import atomic_file, write_atomically

__all__ = ["NpzSink"]

_FILE = "data.npz"


class NpzSink(Sink):
    """`data.npz` with images, labels, classes and kinds; written in one pass, image by image."""

    def put(self, shard: int, samples: Sequence[Sample]) -> list[str]:
        """The shard's images as they will be in the array."""
        shape = samples[0].picture.shape if samples else (0, 0, 3)
        pictures = np.stack([s.picture for s in samples]) if samples else np.zeros((0, *shape), np.uint8)
        file = io.BytesIO()
        np.save(file, pictures)
        write_atomically(self._path(shard), file.getvalue())
        return [self.sample_name(sample) for sample in samples]

    def remove(self, shard: int, rows: Sequence[Row]) -> None:
        """The shard's images."""
        self._path(shard).unlink(missing_ok=True)

    def copied(self) -> Iterator[Row]:
        """Lines alone: the images go into the one file."""
        for index in range(len(self.source)):
            yield original_row(self.source, index, self.source.name(index))

    def close(self) -> None:
        """The parts, one after another, behind the originals."""
        label = {name: index for index, name in enumerate(self.source.classes)}
        arrays: dict[str, Any] = {
            "labels": np.fromiter((label[row["label"]] for row in self._lines()), np.int64),
            "classes": np.array(self.source.classes),
            "kinds": np.fromiter((row["kind"] for row in self._lines()), "U16"),
        }
        if self.source.groups is not None:
            known = {name: index for index, name in enumerate(self.source.group_names)}
            arrays["groups"] = np.fromiter((known[row["group"]] for row in self._lines()), np.int64)
            arrays["group_names"] = np.array(self.source.group_names)
        with atomic_file(self.root / _FILE) as file:
            _write_npz(file, self._pictures(), len(arrays["labels"]), arrays)

    def files(self) -> list[Path]:
        """The one."""
        return [self.root / _FILE]

    def _lines(self) -> Iterator[Row]:
        return chain(self.copied() if self.copies else (), self.rows())

    def _pictures(self) -> Iterator[Picture]:
        if self.copies:
            yield from map(self.source.read, range(len(self.source)))
        for path in sorted((self.root / PARTS).glob("*.npy")):
            yield from np.load(path, mmap_mode="r")

    def _path(self, shard: int) -> Path:
        return self.root / PARTS / f"{shard:06d}.npy"


def _write_npz(file: IO[bytes], pictures: Iterator[Picture], count: int, arrays: dict[str, Any]) -> None:
    """An .npz whose images are never in memory at once; the same bytes for the same content."""
    first = next(pictures, None)
    shape = (0, 0, 3) if first is None else first.shape
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        with archive.open(zipfile.ZipInfo("images.npy"), "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
            np.lib.format.write_array_header_1_0(member, header)
            for picture in chain([] if first is None else [first], pictures):
                if picture.shape != shape:
                    raise GoodnoiseError(
                        Code.INVALID_INPUT,
                        f"images of shapes {shape} and {picture.shape} fit in no one array: set resize, "
                        "or another format",
                    )
                member.write(np.ascontiguousarray(picture).tobytes())
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
