"""WebDataset tars: members of one key are a sample. One pass finds where they lie; each is read there."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_server.augment.formats.arrays import indices_of
from cloud_server.augment.formats.files import files_of_split
from cloud_server.augment.formats.pictures import SUFFIXES, checked_name, decode, sha256
from cloud_server.augment.types import Labels, Picture
from shared.errors import Code, GoodnoiseError

__all__ = ["TarSource", "open_tars"]


@dataclass(frozen=True)
class _Member:
    """Where an image lies: file, place in it in bytes, length, and its name."""

    file: Path
    start: int
    length: int
    name: str


class TarSource:
    """Images in tars.

    Args:
        files: uncompressed tars, in order.
        label: key of the label in `.json` members; `.cls` members come first.
        group: key of the bias attribute in `.json` members; None for none.
        split: which part of the dataset it is.

    Raises:
        GoodnoiseError: CORRUPT or INVALID_INPUT naming the file or member.
    """

    def __init__(self, files: list[Path], *, label: str, group: str | None, split: str) -> None:
        self.split = split
        self._members: list[_Member] = []
        labels: list[Any] = []
        groups: list[Any] = []
        classes: dict[int, str] = {}
        for file in files:
            for member, about in _samples(file):
                said = about.get("cls", about.get(label))
                if said is None:
                    raise GoodnoiseError(
                        Code.INVALID_INPUT,
                        f"{member.name} in {file.name} has no .cls and no {label!r} in .json",
                    )
                self._members.append(member)
                labels.append(said)
                if isinstance(said, int) and isinstance(about.get("label_name"), str):
                    classes[said] = about["label_name"]
                if group is not None:
                    groups.append(_needed(about, group, member.name))
        if not self._members:
            raise GoodnoiseError(Code.INVALID_INPUT, f"{files[0].name} holds no images with labels")
        self.labels, self.classes = _indexed(labels, classes, "labels")
        self.groups: Labels | None = None
        self.group_names: tuple[str, ...] = ()
        if group is not None:
            self.groups, self.group_names = _indexed(groups, {}, group)

    def __len__(self) -> int:
        """How many images."""
        return len(self._members)

    def name(self, index: int) -> str:
        """Tar and member."""
        member = self._members[index]
        return f"{member.file.stem}/{member.name}"

    def data(self, index: int) -> bytes:
        """The stored file."""
        member = self._members[index]
        try:
            with member.file.open("rb") as file:
                file.seek(member.start)
                return file.read(member.length)
        except OSError as error:
            raise GoodnoiseError(
                Code.CORRUPT, f"{member.file} cannot be read: {error.strerror}; is it still there?"
            ) from error

    def read(self, index: int) -> Picture:
        """The decoded image, H W C."""
        return decode(self.data(index), self.name(index))

    def digest(self, index: int) -> str:
        """SHA-256 of the stored file."""
        return sha256(self.data(index))


def _indexed(values: list[Any], names: dict[int, str], what: str) -> tuple[Labels, tuple[str, ...]]:
    if all(isinstance(value, int) for value in values):
        known = [names.get(index, str(index)) for index in range(max(values) + 1)] if names else None
        return indices_of(what, values, known, count=len(values))
    return indices_of(what, [str(value) for value in values], None, count=len(values))


def _needed(about: dict[str, Any], key: str, name: str) -> str:
    if about.get(key) is None:
        raise GoodnoiseError(Code.INVALID_INPUT, f"{name} has no {key!r} in its .json member")
    return str(about[key])


def _samples(file: Path) -> list[tuple[_Member, dict[str, Any]]]:
    """The images of a tar with what the members beside them say."""
    images: dict[str, _Member] = {}
    about: dict[str, dict[str, Any]] = {}
    try:
        # Not "r:*": a compressed tar cannot be read by place.
        with tarfile.open(file, "r:") as tar:
            for item in tar:
                if item.isdir():
                    continue
                name = checked_name(item.name)
                if not item.isreg():
                    raise GoodnoiseError(
                        Code.INVALID_INPUT, f"{name} in {file.name} is a link; pack the file"
                    )
                key, suffix = _parts(name)
                if f".{suffix}" in SUFFIXES:
                    if key in images:
                        raise GoodnoiseError(Code.INVALID_INPUT, f"{file.name} holds {key} twice; rename one")
                    images[key] = _Member(file, item.offset_data, item.size, name)
                elif suffix in {"cls", "json", "txt"} and item.size <= 1 << 20:
                    content = tar.extractfile(item)
                    about.setdefault(key, {}).update(_said(suffix, content.read() if content else b"", name))
    except (tarfile.TarError, OSError) as error:
        raise GoodnoiseError(
            Code.CORRUPT,
            f"{file} cannot be read as a tar: {error}; a compressed one has to be unpacked first",
        ) from error
    return [(member, about.get(key, {})) for key, member in images.items()]


def _parts(name: str) -> tuple[str, str]:
    """Key and suffix: WebDataset cuts at the first dot of the last part."""
    folder, _, last = name.rpartition("/")
    stem, _, suffix = last.partition(".")
    return f"{folder}/{stem}", suffix.lower()


def _said(suffix: str, content: bytes, name: str) -> dict[str, Any]:
    try:
        text = content.decode().strip()
        if suffix == "cls":
            return {"cls": int(text) if text.lstrip("-").isdigit() else text}
        found = json.loads(text) if suffix == "json" else {}
        return found if isinstance(found, dict) else {}
    except ValueError as error:
        raise GoodnoiseError(Code.CORRUPT, f"{name} cannot be read: {error}") from error


def open_tars(path: Path, *, split: str | None, label: str, group: str | None) -> TarSource:
    """A source over a tar, several as `train-{000..017}.tar` or `train-*.tar`, or a folder of them."""
    files, found = files_of_split(path, "*.tar", split)
    return TarSource(files, label=label, group=group, split=found)
