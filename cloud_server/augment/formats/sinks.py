"""Outputs of files: folders of classes, Parquet, WebDataset tars."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cloud_server.augment.formats.folder import METADATA
from cloud_server.augment.formats.originals import COLUMNS, Original, Row, copy, originals, safe
from cloud_server.augment.formats.sink import Sink
from cloud_server.augment.types import Sample
from shared.files import atomic_file, write_atomically

__all__ = ["FolderSink", "ParquetSink", "TarSink"]

# Originals in one file of Parquet or tar.
_AT_ONCE = 512
_BYTES_AT_ONCE = 64 << 20


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

    def copied(self) -> Iterator[Row]:
        """Originals keep their names below the folder of their class."""
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

    def copied(self) -> Iterator[Row]:
        """Originals in files of their own."""
        for number, batch in enumerate(_batches(originals(self.source))):
            rows = [item.row(f"{safe(item.name)}{_missing(item)}") for item in batch]
            self._write(self._path("original", number), [item.data for item in batch], rows)
            yield from rows

    def files(self) -> list[Path]:
        """All files."""
        return sorted(self.root.glob("*.parquet"))

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

    def copied(self) -> Iterator[Row]:
        """Originals in tars of their own."""
        for number, batch in enumerate(_batches(originals(self.source))):
            rows = [item.row(f"original-{item.index:06d}{item.suffix}") for item in batch]
            self._write(self._path("original", number), [item.data for item in batch], rows)
            yield from rows

    def files(self) -> list[Path]:
        """All tars."""
        return sorted(self.root.glob("*.tar"))

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
    """So many at once, or fewer large ones."""
    batch: list[Original] = []
    size = 0
    for item in items:
        if len(batch) == _AT_ONCE or (batch and size + len(item.data) > _BYTES_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += len(item.data)
    if batch:
        yield batch
