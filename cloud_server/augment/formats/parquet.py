"""Parquet files with an image column, as the datasets library and others write them."""

from __future__ import annotations

import functools
import json
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any

from cloud_server.augment.formats.arrays import indices_of
from cloud_server.augment.formats.files import files_of_split
from cloud_server.augment.formats.pictures import checked_name, decode, sha256
from cloud_server.augment.types import Labels, Picture
from shared.errors import Code, GoodnoiseError

__all__ = ["ParquetSource", "open_parquet"]


class ParquetSource:
    """Rows of one or more files; a row group at a time is in memory.

    Args:
        files: in order.
        label: column of the labels.
        group: column of the bias attribute; None for none.
        split: which part of the dataset it is.

    Raises:
        GoodnoiseError: CORRUPT or INVALID_INPUT naming the file or column.
    """

    def __init__(self, files: list[Path], *, label: str, group: str | None, split: str) -> None:
        self._tables = [_open(path) for path in files]
        self._files, self.split = files, split
        self._image = _image_column(files[0], self._tables[0].schema_arrow)
        self._ends: list[int] = list(accumulate(table.metadata.num_rows for table in self._tables))
        # The end of every row group: a row's is looked up, not counted to.
        self._groups = [_ends_of_groups(table.metadata) for table in self._tables]
        names = _class_names(self._tables[0].schema_arrow)
        count = self._ends[-1]
        self.labels, self.classes = indices_of(label, self._column(label), names.get(label), count=count)
        self.groups: Labels | None = None
        self.group_names: tuple[str, ...] = ()
        if group is not None:
            found = indices_of(group, self._column(group), names.get(group), count=count)
            self.groups, self.group_names = found
        self._rows = functools.lru_cache(maxsize=2)(self._load)

    def __len__(self) -> int:
        """How many rows."""
        return self._ends[-1]

    def name(self, index: int) -> str:
        """File and row."""
        file, row = self._place(index)
        return checked_name(f"{self._files[file].stem}/{row:06d}")

    def data(self, index: int) -> bytes:
        """The stored file."""
        file, row = self._place(index)
        group, first = self._group(file, row)
        value = self._rows(file, group)[row - first].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        if not data:
            raise GoodnoiseError(
                Code.INVALID_INPUT, f"{self.name(index)} holds no bytes of an image; embed the files first"
            )
        return bytes(data)

    def read(self, index: int) -> Picture:
        """The decoded image, H W C."""
        return decode(self.data(index), self.name(index))

    def digest(self, index: int) -> str:
        """SHA-256 of the stored file."""
        return sha256(self.data(index))

    def _place(self, index: int) -> tuple[int, int]:
        file = bisect_right(self._ends, index)
        return file, index - (self._ends[file - 1] if file else 0)

    def _group(self, file: int, row: int) -> tuple[int, int]:
        """The row group of a row, and its first row."""
        ends = self._groups[file]
        group = bisect_right(ends, row)
        return group, ends[group - 1] if group else 0

    def _load(self, file: int, group: int) -> Any:  # noqa: ANN401 - pyarrow has no types
        return self._tables[file].read_row_group(group, columns=[self._image]).column(self._image)

    def _column(self, name: str) -> list[Any]:
        values: list[Any] = []
        for path, table in zip(self._files, self._tables, strict=True):
            if name not in table.schema_arrow.names:
                known = ", ".join(table.schema_arrow.names)
                raise GoodnoiseError(
                    Code.INVALID_INPUT, f"{path.name} has no column {name!r}, it has {known}"
                )
            values += table.read(columns=[name]).column(name).to_pylist()
        if any(value is None for value in values):
            raise GoodnoiseError(Code.INVALID_INPUT, f"column {name!r} has rows without a value; fill them")
        return values


def _open(path: Path) -> Any:  # noqa: ANN401 - as above
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise GoodnoiseError(Code.CORRUPT, f"{path} cannot be read as Parquet: {error}") from error


def _ends_of_groups(metadata: Any) -> list[int]:  # noqa: ANN401 - as above
    return list(accumulate(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)))


def _image_column(path: Path, schema: Any) -> str:  # noqa: ANN401 - as above
    import pyarrow

    for field in schema:
        kind = field.type
        if pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            return str(field.name)
        if pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind):
            return str(field.name)
    raise GoodnoiseError(
        Code.INVALID_INPUT, f"{path.name} has no column of images (bytes, or a struct with bytes)"
    )


def _class_names(schema: Any) -> dict[str, list[str]]:  # noqa: ANN401 - as above
    """Names of integer labels, where the datasets library wrote them."""
    said = (schema.metadata or {}).get(b"huggingface")
    features = json.loads(said).get("info", {}).get("features", {}) if said else {}
    return {name: list(about["names"]) for name, about in features.items() if about.get("names")}


def open_parquet(path: Path, *, split: str | None, label: str, group: str | None) -> ParquetSource:
    """A source over a file, or a folder of files `train-*.parquet`."""
    files, found = files_of_split(path, "*.parquet", split)
    return ParquetSource(files, label=label, group=group, split=found)
