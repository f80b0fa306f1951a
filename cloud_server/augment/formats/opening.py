"""Opening a dataset by looking at it, and an output in the same or another format."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from cloud_server.augment.formats.arrays import open_arrays
from cloud_server.augment.formats.files import is_pattern
from cloud_server.augment.formats.folder import FolderSource, open_folder
from cloud_server.augment.formats.npzsink import NpzSink
from cloud_server.augment.formats.parquet import ParquetSource, open_parquet
from cloud_server.augment.formats.sink import Origin, Sink
from cloud_server.augment.formats.sinks import FolderSink, ParquetSink, TarSink
from cloud_server.augment.formats.splits import split_called
from cloud_server.augment.formats.webdataset import TarSource, open_tars
from cloud_server.augment.types import Codec, Source
from shared.errors import Code, GoodnoiseError

__all__ = ["FORMATS", "open_sink", "open_source"]


class _Opener(Protocol):
    def __call__(self, path: Path, *, split: str | None, label: str, group: str | None) -> Source: ...


FORMATS = ("folder", "parquet", "webdataset", "npz")
_OPENERS: dict[str, _Opener] = {
    "folder": open_folder,
    "parquet": open_parquet,
    "webdataset": open_tars,
    "npz": open_arrays,
}
_SUFFIXES = {".parquet": "parquet", ".tar": "webdataset", ".npz": "npz", ".npy": "npz"}
_SINKS: dict[str, type[Sink]] = {
    "folder": FolderSink,
    "parquet": ParquetSink,
    "webdataset": TarSink,
    "npz": NpzSink,
}


def open_source(
    path: Path,
    *,
    split: str | None = None,
    format: str = "auto",  # noqa: A002 - the word of the command line
    label: str = "label",
    group: str | None = None,
) -> Source:
    """A dataset, read lazily.

    Args:
        path: a file, a folder, or files of a folder by a pattern such as `train-{000..017}.tar`.
        split: which part; None is the training part where there are several.
        format: of `FORMATS`, or 'auto'.
        label: column or key of labels, for formats that have them.
        group: column or key of the bias attribute; None for none.

    Raises:
        GoodnoiseError: NOT_FOUND, INVALID_INPUT or CORRUPT naming the file and what is wrong with it.
    """
    if not path.exists() and not is_pattern(path):
        raise GoodnoiseError(Code.NOT_FOUND, f"there is no {path}; give a dataset's file or folder")
    chosen = format_of(path) if format == "auto" else format
    if chosen not in _OPENERS:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"format is {format!r}, expected auto or one of {', '.join(FORMATS)}"
        )
    return _OPENERS[chosen](path, split=split, label=label, group=group)


def format_of(path: Path) -> str:
    """What a file or folder is, by what is in it."""
    if not path.is_dir():
        if path.suffix.lower() not in _SUFFIXES:
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                f"{path.name} is no .parquet, .tar or .npz; give one, or a folder of classes",
            )
        return _SUFFIXES[path.suffix.lower()]
    items = sorted(path.iterdir())
    # Data files lie on top or one folder down; millions of images are not looked through for them.
    inner = [item for item in items if item.is_dir() and (item.name == "data" or split_called(item.name))]
    for item in (*items, *(file for folder in inner for file in sorted(folder.iterdir()))):
        if item.suffix.lower() in _SUFFIXES and item.is_file():
            return _SUFFIXES[item.suffix.lower()]
    return "folder"


def open_sink(
    path: Path,
    format: str = "auto",  # noqa: A002 - the word of the recipe file
    *,
    source: Source,
    codec: Codec,
    copy_originals: bool = True,
    dataset: str = "",
    licence: str = "",
    job_digest: str = "",
) -> Sink:
    """An output folder, new or begun by an earlier run of the same job.

    Args:
        path: the folder.
        format: of `FORMATS`; 'auto' is the source's.
        source: what samples are made from.
        codec: of the samples' files.
        copy_originals: make a whole dataset, the originals' bytes beside the samples.
        dataset: name of the source, for the description.
        licence: of the output, for the description; empty says that the source's holds.
        job_digest: of the job that writes; the output of another is refused. Empty looks at nothing.

    Raises:
        GoodnoiseError: PRECONDITION for a folder with other things in it, or begun by another job;
            INVALID_INPUT for the format.
    """
    chosen = _format_like(source) if format == "auto" else format
    if chosen not in _SINKS:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"format is {format!r}, expected auto or one of {', '.join(FORMATS)}"
        )
    origin = Origin(dataset, licence, job_digest)
    return _SINKS[chosen](path, source=source, codec=codec, copy_originals=copy_originals, origin=origin)


def _format_like(source: Source) -> str:
    if isinstance(source, FolderSource):
        return "folder"
    if isinstance(source, ParquetSource):
        return "parquet"
    return "webdataset" if isinstance(source, TarSource) else "npz"
