"""Which files of a folder are photos: by their ending, without hidden files and earlier results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge_client.photos import SUFFIXES

__all__ = ["PHOTO_SUFFIXES", "REPORT_SUFFIXES", "RESULT_MARK", "photos_in"]

PHOTO_SUFFIXES = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
# What stands before the ending of a result that lies beside its original, and what follows a result's name.
RESULT_MARK = ".protected"
REPORT_SUFFIXES = (".report.json", ".report.png")


def photos_in(folder: Path, *, below: bool = False) -> Iterator[Path]:
    """The photos of a folder, in a fixed order.

    Args:
        folder: where to look.
        below: also in the folders below it; links to folders are not followed.
    """
    for path in sorted(folder.rglob("*") if below else folder.iterdir()):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.suffix.lower() in PHOTO_SUFFIXES and not _is_result(path) and path.is_file():
            yield path


def _is_result(path: Path) -> bool:
    return path.stem.endswith(RESULT_MARK) or path.name.endswith(REPORT_SUFFIXES)
