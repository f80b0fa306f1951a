"""A journal beside results: which photo, with which settings, became which file. To go on from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from shared.files import sha256_of_file, storage_errors

__all__ = ["JOURNAL", "Entry", "Journal"]

JOURNAL = ".goodnoise.jsonl"


@dataclass(frozen=True)
class Entry:
    """One result.

    Args:
        source: base name of the photo.
        sha256: of the photo.
        settings: digest of all else that decides a result.
        output: base name of the result, in the journal's folder.
        output_sha256: of the result.
        report: as `report.outcome_to_dict`.
    """

    source: str
    sha256: str
    settings: str
    output: str
    output_sha256: str
    report: dict[str, Any]


class Journal:
    """The results in one folder. Lines that are damaged are passed over: those photos are done again.

    An entry is noted before its result is written, and counts only while the result lies there unchanged. So
    a run may stop anywhere, and the next goes on.

    Args:
        folder: where results and journal are; read once.

    Raises:
        GoodnoiseError: when the journal is there and cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries = list(_read(folder / JOURNAL))

    def finished(self, source: str, sha256: str, settings: str) -> Entry | None:
        """The entry of a photo that was done with these settings and whose result is still there."""
        wanted = (source, sha256, settings)
        for entry in reversed(self._entries):
            if (entry.source, entry.sha256, entry.settings) == wanted and self._lies_there(entry):
                return entry
        return None

    def wrote(self, output: str, sha256: str) -> bool:
        """Whether the file of this name is an earlier result of the photo with this sha256, unchanged."""
        return any(
            (entry.output, entry.sha256) == (output, sha256) and self._lies_there(entry)
            for entry in self._entries
        )

    def note(self, entry: Entry) -> None:
        """Add an entry, on the disk when this returns.

        Raises:
            GoodnoiseError: EXHAUSTED for a full disk, PERMISSION, or PRECONDITION.
        """
        line = json.dumps(asdict(entry), sort_keys=True, allow_nan=False).encode() + b"\n"
        with storage_errors(self._folder, setting="-o"), (self._folder / JOURNAL).open("a+b") as file:
            # Where a crash cut the last line off, it must not take this one with it.
            file.write(line if _ends_line(file) else b"\n" + line)
            file.flush()
            os.fsync(file.fileno())
        self._entries.append(entry)

    def _lies_there(self, entry: Entry) -> bool:
        path = self._folder / entry.output
        try:
            return path.is_file() and sha256_of_file(path) == entry.output_sha256
        except OSError:
            return False


def _ends_line(file: IO[bytes]) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _read(path: Path) -> Iterator[Entry]:
    with storage_errors(path, setting="-o"):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return
    for line in content.splitlines():
        entry = _entry(line)
        if entry is not None:
            yield entry


def _entry(line: bytes) -> Entry | None:
    try:
        entry = Entry(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (entry.source, entry.sha256, entry.settings, entry.output, entry.output_sha256)
    if not all(isinstance(text, str) for text in texts) or Path(entry.output).name != entry.output:
        return None
    return entry if _is_report(entry.report) else None


def _is_report(report: object) -> bool:
    """Whether it has what tables and exit codes read of it."""
    if not isinstance(report, dict) or not isinstance(report.get("seconds"), dict):
        return False
    if not {"protected", "faces_too_small"} <= set(report):
        return False
    faces = report.get("faces")
    wanted = {"levels", "psnr_db", "recognisers"}
    return isinstance(faces, list) and all(isinstance(face, dict) and wanted <= set(face) for face in faces)
