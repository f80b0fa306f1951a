"""Datasets that the operator allowed: named folders, and what lies below them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from shared.errors import Code, GoodnoiseError

__all__ = ["Roots", "parse_folders"]

_ROOT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
# No separators, no quotes, no leading dot: '.', '..' and hidden files cannot be named.
_PART = re.compile(r"\w[\w .,+=@-]{0,199}")
_FIELD = {"field": "dataset"}


class Roots:
    """The named folders.

    Args:
        folders: by name.

    Raises:
        GoodnoiseError: INVALID_INPUT for a name that is none, or a folder that is not there.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        for name, folder in folders.items():
            if not _ROOT.fullmatch(name) or not folder.is_dir():
                raise GoodnoiseError(
                    Code.INVALID_INPUT,
                    f"--allow-dataset {name}={folder}: expected NAME=FOLDER, a name of letters, digits, '-', "
                    "'_' and '.', and a folder that is there",
                )
        self._folders = {name: folder.resolve() for name, folder in folders.items()}

    def find(self, location: str) -> Path:
        """The path of a location such as `photos/holidays`; every file below it lies in its root too.

        Raises:
            GoodnoiseError: INVALID_INPUT for what is no location, PERMISSION for what is not allowed or
                leaves its root, NOT_FOUND.
        """
        name, *parts = location.split("/")
        if not _ROOT.fullmatch(name) or not all(_PART.fullmatch(part) for part in parts):
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                "dataset is no location: expected the name of an allowed root and a path below it, such as "
                "photos/holidays; no absolute path, no '..', no address",
                _FIELD,
            )
        root = self._folders.get(name)
        if root is None:
            known = ", ".join(sorted(self._folders)) or "none is"
            raise GoodnoiseError(
                Code.PERMISSION,
                f"dataset root {name!r} is not allowed here (allowed: {known}); send images instead",
                _FIELD,
            )
        return self._below(root, name, parts)

    def _below(self, root: Path, name: str, parts: list[str]) -> Path:
        path = root.joinpath(*parts)
        # Looked at before anything says whether it is there: nothing outside of a root is told.
        if not path.resolve().is_relative_to(root):
            raise _leaves(name)
        if not path.exists():
            raise GoodnoiseError(
                Code.NOT_FOUND, f"there is no such dataset below {name!r}; check its path", _FIELD
            )
        if any(not link.resolve().is_relative_to(root) for link in _links(path)):
            raise _leaves(name)
        return path.resolve()


def parse_folders(texts: Iterable[str]) -> dict[str, Path]:
    """Folders of a command's options, each NAME=FOLDER, for `Roots`.

    Raises:
        GoodnoiseError: INVALID_INPUT naming what is none.
    """
    folders: dict[str, Path] = {}
    for text in texts:
        name, _, folder = text.partition("=")
        if name in folders:
            raise GoodnoiseError(Code.INVALID_INPUT, f"--allow-dataset names {name!r} twice; keep one")
        if not folder:
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                f"--allow-dataset {text!r}: expected NAME=FOLDER, such as photos=/srv/photos",
            )
        folders[name] = Path(folder)
    return folders


def _links(folder: Path) -> Iterable[Path]:
    """Symbolic links below a folder; linked folders are looked into where they lead."""
    seen: set[str] = set()
    waiting = [str(folder)]
    while waiting:
        here = os.path.realpath(waiting.pop())
        if here in seen or not os.path.isdir(here):  # noqa: PTH112 - a million entries are looked at
            continue
        seen.add(here)
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield Path(entry.path)
                if entry.is_dir():
                    waiting.append(entry.path)


def _leaves(name: str) -> GoodnoiseError:
    return GoodnoiseError(
        Code.PERMISSION,
        f"the dataset leaves its root {name!r} by a link; ask the operator to allow the folder it leads to",
        _FIELD,
    )
