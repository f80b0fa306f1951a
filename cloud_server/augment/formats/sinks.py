"""The four outputs: folders of classes, Parquet, WebDataset tars, one .npz."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from cloud_server.augment.formats.folder import METADATA
from cloud_server.augment.formats.sink import (
    COLUMNS,
    PARTS,
    Original,
    Row,
    Sink,
    copy,
    originals,
    picture_of,
    safe,
)
from cloud_server.augment.types import Picture, Sample
from shared.errors import Code, GoodnoiseError
from shared.files import atomic_file, write_atomically

__all__ = ["FolderSink", "NpzSink", "ParquetSink", "TarSink"]

# Originals in one file of Parquet or tar.
_AT_ONCE = 512


class FolderSink(Sink):
    """`train/cat/adversarial-000012-0f3a5b1c.png`, with metadata.csv in `train`."""

    @property
    def metadata(self) -> str:
        """In the split's folder, where tools look for it."""
        return f"{self.split}/{METADATA}"

    def put(self, shard: int, samples: Sequence[Sample]) -> list[str]:
        """One file a sample, in the folder of its class."""
        names = []
        for sample in samples:
            folder = safe(sample.provenance.target_label)
            name = f"{folder}/{self.sample_name(sample)}{self.codec.suffix}"
            path = self.root / self.split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, sample.data)
            names.append(name)
        return names

    def remove(self, shard: int, rows: Sequence[Row]) -> None:
        """The files that the rows name."""
        for row in rows:
            (self.root / self.split / row["file_name"]).unlink(missing_ok=True)

    def close(self, copies: bool) -> tuple[list[Path], Iterator[Row]]:  # noqa: FBT001 - as in `Sink`
        """Originals keep their names below the folder of their class."""
        (self.root / self.split).mkdir(exist_ok=True)
        _refuse_merged(self.source.classes)
        made = self.rows()
        return [], _chain(self._copied(), made) if copies else made

    def _copied(self) -> Iterator[Row]:
        for original in originals(self.source):
            inside = original.name.removeprefix(f"{original.label}/")
            parts = [safe(part) for part in inside.split("/")]
            if not parts[-1].lower().endswith((original.suffix, ".jpeg", ".tiff")):
                parts[-1] += original.suffix
            name = "/".join([safe(original.label), *parts])
            copy(original.data, self.root / self.split / name)
            yield original.row(name)


class ParquetSink(Sink):
    """`train-made-000012.parquet`: image, label and provenance, as the datasets library reads them."""

    def put(self, shard: int, samples: Sequence[Sample]) -> list[str]:
        """One file a shard."""
        names = [f"{self.sample_name(sample)}{self.codec.suffix}" for sample in samples]
        rows = [self._row(sample, name) for sample, name in zip(samples, names, strict=True)]
        path = self._path("made", shard)
        self._write(path, [sample.data for sample in samples], rows)
        return names

    def remove(self, shard: int, rows: Sequence[Row]) -> None:
        """The shard's file."""
        self._path("made", shard).unlink(missing_ok=True)

    def close(self, copies: bool) -> tuple[list[Path], Iterator[Row]]:  # noqa: FBT001 - as in `Sink`
        """Originals in files of their own."""
        told: list[Row] = []
        if copies:
            for number, batch in enumerate(_batches(originals(self.source))):
                rows = [item.row(f"{safe(item.name)}{_missing(item)}") for item in batch]
                self._write(self._path("original", number), [item.data for item in batch], rows)
                told += rows
        return sorted(self.root.glob("*.parquet")), _chain(told, self.rows())

    def _path(self, what: str, number: int) -> Path:
        return self.root / f"{self.split}-{what}-{number:06d}.parquet"

    def _write(self, path: Path, data: Sequence[bytes], rows: Sequence[Row]) -> None:
        import pyarrow
        from pyarrow import parquet

        label = {name: index for index, name in enumerate(self.source.classes)}
        texts = [column for column in COLUMNS if column not in {"file_name", "label"}]
        columns: dict[str, Any] = {
            "image": pyarrow.array(
                [{"bytes": one, "path": row["file_name"]} for one, row in zip(data, rows, strict=True)],
                pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]),
            ),
            "label": pyarrow.array([label[row["label"]] for row in rows], pyarrow.int64()),
        }
        for column in texts:
            columns[column] = pyarrow.array([row.get(column) for row in rows], _arrow_type(column))
        table = pyarrow.table(columns).replace_schema_metadata({"huggingface": self._features(texts)})
        with atomic_file(path) as file:
            parquet.write_table(table, file, row_group_size=64)

    def _features(self, texts: Sequence[str]) -> str:
        values: dict[str, Any] = {
            "image": {"_type": "Image"},
            "label": {"names": list(self.source.classes), "_type": "ClassLabel"},
        }
        for column in texts:
            values[column] = {
                "dtype": str(_arrow_type(column)).replace("double", "float64"),
                "_type": "Value",
            }
        return json.dumps({"info": {"features": values}})


class TarSink(Sink):
    """`train-made-000012.tar`: for each key an image, its label as `.cls` and its row as `.json`."""

    def put(self, shard: int, samples: Sequence[Sample]) -> list[str]:
        """One tar a shard."""
        names = [f"{self.sample_name(sample)}{self.codec.suffix}" for sample in samples]
        rows = [self._row(sample, name) for sample, name in zip(samples, names, strict=True)]
        self._write(self._path("made", shard), [sample.data for sample in samples], rows)
        return names

    def remove(self, shard: int, rows: Sequence[Row]) -> None:
        """The shard's tar."""
        self._path("made", shard).unlink(missing_ok=True)

    def close(self, copies: bool) -> tuple[list[Path], Iterator[Row]]:  # noqa: FBT001 - as in `Sink`
        """Originals in tars of their own."""
        told: list[Row] = []
        if copies:
            for number, batch in enumerate(_batches(originals(self.source))):
                rows = [item.row(f"original-{item.index:06d}{item.suffix}") for item in batch]
                self._write(self._path("original", number), [item.data for item in batch], rows)
                told += rows
        return sorted(self.root.glob("*.tar")), _chain(told, self.rows())

    def _path(self, what: str, number: int) -> Path:
        return self.root / f"{self.split}-{what}-{number:06d}.tar"

    def _write(self, path: Path, data: Sequence[bytes], rows: Sequence[Row]) -> None:
        label = {name: index for index, name in enumerate(self.source.classes)}
        with (
            atomic_file(path) as file,
            tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for one, row in zip(data, rows, strict=True):
                key, _, suffix = row["file_name"].rpartition(".")
                about = {"label_name": row["label"], **row}
                _add(tar, f"{key}.{suffix}", one)
                _add(tar, f"{key}.cls", str(label[row["label"]]).encode())
                _add(tar, f"{key}.json", json.dumps(about, sort_keys=True).encode())


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

    def close(self, copies: bool) -> tuple[list[Path], Iterator[Row]]:  # noqa: FBT001 - as in `Sink`
        """The parts, one after another, behind the originals."""
        rows = (
            [Original(self.source, i).row(self.source.name(i)) for i in range(len(self.source))]
            if copies
            else []
        )
        rows += list(self.rows())
        label = {name: index for index, name in enumerate(self.source.classes)}
        arrays: dict[str, Any] = {
            "labels": np.array([label[row["label"]] for row in rows], np.int64),
            "classes": np.array(self.source.classes),
            "kinds": np.array([row["kind"] for row in rows], "U16"),
        }
        if self.source.groups is not None:
            known = {name: index for index, name in enumerate(self.source.group_names)}
            arrays["groups"] = np.array([known[row["group"]] for row in rows], np.int64)
            arrays["group_names"] = np.array(self.source.group_names)
        path = self.root / "data.npz"
        with atomic_file(path) as file:
            _write_npz(file, self._pictures(copies=copies), len(rows), arrays)
        return [path], iter(rows)

    def _pictures(self, *, copies: bool) -> Iterator[Picture]:
        if copies:
            yield from (picture_of(original) for original in originals(self.source))
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
            for picture in _chain([] if first is None else [first], pictures):
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


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    item = tarfile.TarInfo(name)
    item.size = len(content)
    item.mode = 0o644
    tar.addfile(item, io.BytesIO(content))


def _arrow_type(column: str) -> Any:  # noqa: ANN401 - pyarrow has no types
    import pyarrow

    numbers = {"levels", "steps", "tries", "seed", "number"}
    if column in {"l2", "confidence"}:
        return pyarrow.float64()
    if column == "accepted":
        return pyarrow.bool_()
    return pyarrow.int64() if column in numbers else pyarrow.string()


def _missing(original: Original) -> str:
    """The suffix that an original's name lacks."""
    return "" if Path(original.name).suffix else original.suffix


def _batches(items: Iterable[Original]) -> Iterator[list[Original]]:
    rest = iter(items)
    while batch := list(islice(rest, _AT_ONCE)):
        yield batch


def _chain(first: Iterable[Any], second: Iterable[Any]) -> Iterator[Any]:
    yield from first
    yield from second


def _refuse_merged(classes: Sequence[str]) -> None:
    if len({safe(name).lower() for name in classes}) < len(classes):
        raise GoodnoiseError(
            Code.INVALID_INPUT, "two classes would share a folder; rename one, or write another format"
        )
