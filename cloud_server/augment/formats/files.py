"""Data files of a dataset: one, some by a pattern, or those of a split below a folder."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

from cloud_server.augment.formats.splits import split_called, split_in, split_of, wanted_split
from shared.errors import Code, GoodnoiseError

__all__ = ["files_of_split", "is_pattern", "matching"]

_RANGE = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})\}")
# What one pattern may name; a dataset of more files is given as a folder.
_MOST = 1_000_000


def is_pattern(path: Path) -> bool:
    """Whether the last part of a path stands for several files: `train-{000..017}.tar`, `train-*.tar`."""
    return not path.exists() and ("*" in path.name or _RANGE.search(path.name) is not None)


def matching(path: Path) -> list[Path]:
    """The files that a pattern stands for, in order.

    Raises:
        GoodnoiseError: NOT_FOUND for a file that a range names and that is not there, or when there are none;
            INVALID_INPUT for a range that is too long or ends before it begins.
    """
    names = _expanded(path.name)
    found: list[Path] = []
    for name in names:
        files = sorted(path.parent.glob(name)) if "*" in name else [path.parent / name]
        found += [file for file in files if file.is_file()]
        if not files or not files[0].is_file():
            raise GoodnoiseError(
                Code.NOT_FOUND, f"there is no {path.parent / name}; give the files there are"
            )
    return found


def _expanded(name: str) -> list[str]:
    texts = _RANGE.split(name)[::3]
    ranges = []
    count = 1
    for first, last in _RANGE.findall(name):
        count *= max(0, int(last) - int(first) + 1)
        if not 0 < count <= _MOST:
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                f"{{{first}..{last}}} in {name!r} is a range of none or of more than {_MOST}; mend it",
            )
        ranges.append([f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)])
    return [
        "".join(text + number for text, number in zip(texts, [*numbers, ""], strict=True))
        for numbers in product(*ranges)
    ]


def files_of_split(path: Path, pattern: str, split: str | None) -> tuple[list[Path], str]:
    """The data files of a split, and which split it is.

    Args:
        path: a file, a pattern in a folder, or a folder.
        pattern: of the files below a folder.
        split: what its user says; None takes the training part where there are several.

    Raises:
        GoodnoiseError: NOT_FOUND when there are none; INVALID_INPUT for two of one name.
    """
    files = _candidates(path, pattern)
    parts: dict[str, list[Path]] = {}
    for file in files:
        parts.setdefault(_named(file, path), []).append(file)
    if len(parts) == 1:
        [(named, found)] = parts.items()
        part = wanted_split(split, named)
        if named and split and named != wanted_split(split, ""):
            raise _missing(path, pattern, split, parts)
    else:
        part = wanted_split(split or ("" if "" in parts and "train" not in parts else "train"), "")
        if part not in parts:
            raise _missing(path, pattern, part, parts)
        found = parts[part]
    _refuse_doubles(found)
    return found, part


def _candidates(path: Path, pattern: str) -> list[Path]:
    if is_pattern(path):
        return matching(path)
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob(pattern) if not file.name.startswith("."))


def _named(file: Path, path: Path) -> str:
    """What a file's name says, or else the nearest folder below the dataset, or the dataset's own name."""
    root = path if path.is_dir() else path.parent
    inner = reversed(file.relative_to(root).parts[:-1])
    return split_in(file.name) or next(filter(None, map(split_called, inner)), "") or split_of(root)


def _missing(path: Path, pattern: str, split: str, parts: dict[str, list[Path]]) -> GoodnoiseError:
    said = ", ".join(sorted(part or "unnamed" for part in parts)) or "none"
    return GoodnoiseError(
        Code.NOT_FOUND,
        f"{path} has no files {pattern} of the split {split!r}, it has {said}; name one of them",
    )


def _refuse_doubles(files: list[Path]) -> None:
    """Images are named by their file's stem: two of one name could not be told apart."""
    stems: dict[str, Path] = {}
    for file in files:
        other = stems.setdefault(file.stem, file)
        if other is not file:
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                f"{other} and {file} have one name; rename one, or give their folder alone",
            )
