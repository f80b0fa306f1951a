"""Attribute files as CelebA's: `list_attr_celeba.txt` and `list_eval_partition.txt` beside the images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cloud_server.augment.formats.folder import FolderSource
from shared.errors import Code, GoodnoiseError

__all__ = ["open_attributes"]

_ATTRIBUTES, _PARTITION, _IMAGES = "list_attr_celeba.txt", "list_eval_partition.txt", "img_align_celeba"
_PARTS = {"0": "train", "1": "validation", "2": "test"}


def open_attributes(folder: Path, *, label: str, group: str, split: str = "train") -> FolderSource:
    """A source whose classes and groups are two attributes, each `not NAME` or `NAME`.

    Args:
        folder: holds both files, and the images in `img_align_celeba`.
        label: the attribute that is learnt.
        group: the attribute that shall not matter.
        split: `train`, `validation` or `test`.

    Raises:
        GoodnoiseError: NOT_FOUND for a missing file; INVALID_INPUT for an unknown attribute or split;
            CORRUPT naming the line that cannot be read.
    """
    if split not in _PARTS.values():
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"split {split!r}: must be one of {', '.join(_PARTS.values())}"
        )
    parts = _partition(folder / _PARTITION)
    names, values = _attributes(folder / _ATTRIBUTES, (label, group))
    kept = [name for name in names if parts.get(name) == split]
    if not kept:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{folder}: no image belongs to {split!r}; name another split"
        )
    labels = [_word(label, values[name][0]) for name in kept]
    groups = [_word(group, values[name][1]) for name in kept]
    return FolderSource(folder / _IMAGES, kept, labels, groups, split)


def _word(name: str, value: str) -> str:
    return name if value == "1" else f"not {name}"


def _partition(path: Path) -> dict[str, str]:
    found = {}
    for number, line in enumerate(_lines(path), start=1):
        words = line.split()
        if len(words) != 2 or words[1] not in _PARTS:
            raise _unreadable(path, number, "an image and 0, 1 or 2")
        found[words[0]] = _PARTS[words[1]]
    return found


def _attributes(path: Path, wanted: tuple[str, str]) -> tuple[list[str], Mapping[str, tuple[str, str]]]:
    lines = _lines(path)
    head = lines[1].split() if len(lines) > 1 else []
    for name in wanted:
        if name not in head:
            raise GoodnoiseError(
                Code.INVALID_INPUT, f"{path}: there is no attribute {name!r}; known are {', '.join(head)}"
            )
    first, second = (1 + head.index(name) for name in wanted)
    found = {}
    for number, line in enumerate(lines[2:], start=3):
        words = line.split()
        if len(words) != len(head) + 1 or not set(words[1:]) <= {"1", "-1"}:
            raise _unreadable(path, number, f"an image and {len(head)} values of 1 or -1")
        found[words[0]] = (words[first], words[second])
    return list(found), found


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise GoodnoiseError(Code.NOT_FOUND, f"there is no {path}; give the folder with CelebA's lists")
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _unreadable(path: Path, number: int, expected: str) -> GoodnoiseError:
    return GoodnoiseError(Code.CORRUPT, f"{path}, line {number}: expected {expected}; fetch it again")
