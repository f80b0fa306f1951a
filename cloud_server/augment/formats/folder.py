"""Folders of classes, as every tool reads them: `cat/1.png`, `train/cat/1.png`, with metadata.csv or not."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cloud_server.augment.formats.arrays import indices_of
from cloud_server.augment.formats.pictures import SUFFIXES, checked_name, decode, sha256
from cloud_server.augment.formats.splits import split_called, split_of, wanted_split
from cloud_server.augment.types import Labels, Picture
from shared.errors import Code, GoodnoiseError

__all__ = ["METADATA", "FolderSource", "open_folder"]

METADATA = "metadata.csv"


class FolderSource:
    """Image files below one folder; names alone are held in memory.

    Args:
        root: the folder.
        names: of files, relative to it.
        labels: names of classes, one a file.
        groups: values of the bias attribute, one a file; None for none.
        split: which part of the dataset it is.
    """

    def __init__(
        self, root: Path, names: list[str], labels: list[str], groups: list[str] | None, split: str
    ) -> None:
        self.root, self._names, self.split = root, names, split
        self.labels, self.classes = indices_of("labels", labels, None, count=len(names))
        self.groups: Labels | None = None
        self.group_names: tuple[str, ...] = ()
        if groups is not None:
            self.groups, self.group_names = indices_of("groups", groups, None, count=len(names))

    def __len__(self) -> int:
        """How many images."""
        return len(self._names)

    def name(self, index: int) -> str:
        """Relative to the folder, with slashes."""
        return self._names[index]

    def data(self, index: int) -> bytes:
        """The file."""
        path = self.root / self._names[index]
        try:
            return path.read_bytes()
        except OSError as error:
            raise GoodnoiseError(
                Code.CORRUPT, f"{self._names[index]} cannot be read: {error.strerror}; is it still there?"
            ) from error

    def read(self, index: int) -> Picture:
        """The decoded image, H W C."""
        return decode(self.data(index), self._names[index])

    def digest(self, index: int) -> str:
        """SHA-256 of the file."""
        return sha256(self.data(index))


def open_folder(path: Path, *, split: str | None, label: str, group: str | None) -> FolderSource:
    """A source over class folders, or over the files that metadata.csv labels.

    Args:
        path: the dataset, or one split of it.
        split: which split, where there are several; None is the training one.
        label: column of metadata.csv for files that lie in no class folder.
        group: column of metadata.csv with the bias attribute.

    Raises:
        GoodnoiseError: NOT_FOUND or INVALID_INPUT naming what is missing.
    """
    root, found = _split_of(path, split)
    names = sorted(_files(root), key=lambda name: name.split("/"))
    if not names:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{root} holds no images; expected one folder a class with images in it"
        )
    rows = _metadata(root)
    labels = [_label(name, rows, label) for name in names]
    _refuse_empty(root, set(labels))
    groups = None if group is None else [_column(name, rows, group) for name in names]
    return FolderSource(root, names, labels, groups, found)


def _split_of(path: Path, split: str | None) -> tuple[Path, str]:
    """The folder of the split that is asked for, and what it is called."""
    folders = sorted(item for item in path.iterdir() if item.is_dir() and not item.name.startswith("."))
    named = [(split_called(item.name), item) for item in folders]
    if not folders or not all(part for part, _ in named):
        _refuse_mixed(path, named)
        return path, wanted_split(split, split_of(path))
    parts = dict(named)
    wanted = wanted_split(split or "train", "")
    if wanted not in parts:
        raise GoodnoiseError(
            Code.NOT_FOUND,
            f"{path} has the splits {', '.join(sorted(parts))}, not {wanted!r}; name one of them",
        )
    if len(parts) < len(named):
        twice = ", ".join(item.name for _, item in named)
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{path} has one split under two names: {twice}; give the folder of one"
        )
    return parts[wanted], wanted


def _refuse_mixed(path: Path, named: Sequence[tuple[str, Path]]) -> None:
    """Splits beside other folders: a class may well be called 'test', but it holds no class folders."""
    splits = [item.name for part, item in named if part and any(inner.is_dir() for inner in item.iterdir())]
    if splits:
        others = ", ".join(item.name for part, item in named if not part)
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"{path} holds splits ({', '.join(splits)}) beside {others}; give the folder of one split",
        )


def _files(root: Path, prefix: str = "") -> Iterator[str]:
    """Names of images below a folder; no file is opened."""
    folders = []
    with os.scandir(root / prefix) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.name.startswith(".") or not (entry.is_dir() or _is_image(entry.name)):
                continue
            if entry.is_symlink():
                raise GoodnoiseError(
                    Code.INVALID_INPUT, f"{name} is a link; put what it leads to there itself"
                )
            if entry.is_dir():
                folders.append(name)
            else:
                yield checked_name(name)
    for folder in folders:
        yield from _files(root, f"{folder}/")


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 - a million names are looked at


def _metadata(root: Path) -> dict[str, dict[str, str]]:
    path = root / METADATA
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if "file_name" not in (reader.fieldnames or ()):
            raise GoodnoiseError(Code.INVALID_INPUT, f"{path} has no column file_name")
        return {row["file_name"]: row for row in reader}


def _label(name: str, rows: Mapping[str, Mapping[str, str]], column: str) -> str:
    folder = name.partition("/")[0]
    return folder if "/" in name else _column(name, rows, column)


def _column(name: str, rows: Mapping[str, Mapping[str, str]], column: str) -> str:
    value = rows.get(name, {}).get(column)
    if not value:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{METADATA} says no {column!r} of {name}; add it, or name another column"
        )
    return value


def _refuse_empty(root: Path, classes: set[str]) -> None:
    for item in root.iterdir():
        if item.is_dir() and not item.name.startswith(".") and classes and item.name not in classes:
            raise GoodnoiseError(
                Code.INVALID_INPUT, f"the class folder {item.name} holds no images; remove or fill it"
            )
