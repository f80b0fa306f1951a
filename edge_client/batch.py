"""Many photos: which files there are, one after the other, and a journal to go on from."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_client.advice import Asks
from edge_client.album import Album
from edge_client.devicenets import DeviceNets
from edge_client.folders import PHOTO_SUFFIXES, REPORT_SUFFIXES, photos_in
from edge_client.journal import JOURNAL, Entry, Journal
from edge_client.photos import output_path, read_content, read_photo, write_atomic
from edge_client.protect import Outcome, Progress, ProtectOptions, protect
from edge_client.report import outcome_to_dict, report_picture
from shared.bundle import sha256_hex
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors
from shared.levels.labels import Level

__all__ = ["JOURNAL", "Batch", "Item", "Result", "find_photos", "run_batch"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """One photo and the folder that its result goes to; None for beside it."""

    source: Path
    folder: Path | None


@dataclass(frozen=True)
class Result:
    """What became of one photo.

    `report` is as `report.outcome_to_dict`; `error` is set instead when the photo could not be protected.
    `resumed` says that an earlier run had done it.
    """

    source: Path
    output: Path | None
    report: dict[str, Any] | None
    error: GoodnoiseError | None = None
    resumed: bool = False


@dataclass(frozen=True)
class Batch:
    """Everything that one run shares; `hints` asks a cloud at the wire level named."""

    nets: DeviceNets
    options: ProtectOptions
    album: Album | None = None
    with_report: bool = False
    overwrite: bool = False
    level: Level = "pull"
    hints: Asks | None = None


def find_photos(paths: Sequence[Path], out: Path | None) -> list[Item]:
    """The photos that paths name, folders searched through, in a fixed order, each once.

    Below `out` the folders' structure is kept. Hidden files, earlier results and what lies below `out` are
    passed over, unless they are named themselves.

    Raises:
        GoodnoiseError: NOT_FOUND for a path that does not exist or a folder without photos; INVALID_INPUT
            when a path is neither file nor folder, cannot be looked at, or when two photos would have one
            result.
    """
    items: dict[tuple[Path, Path | None], Item] = {}
    for path in paths:
        try:
            found = _items(path, out)
        except OSError as error:
            raise GoodnoiseError(
                Code.INVALID_INPUT, f"{path} cannot be looked at ({error.strerror}); name another path"
            ) from error
        for item in found:
            # By place and name: two links to one photo are two names with two results.
            items.setdefault((item.source.parent.resolve() / item.source.name, item.folder), item)
    _refuse_collisions(list(items.values()))
    return list(items.values())


def _items(path: Path, out: Path | None) -> list[Item]:
    if path.is_dir():
        inside = [photo for photo in photos_in(path, below=True) if not _among_results(photo, path, out)]
        if not inside:
            raise GoodnoiseError(
                Code.NOT_FOUND, f"folder {path} holds no photos ({', '.join(PHOTO_SUFFIXES)})"
            )
        return [Item(p, None if out is None else out / p.parent.relative_to(path)) for p in inside]
    if not path.exists():
        raise GoodnoiseError(Code.NOT_FOUND, f"{path} does not exist; check the path")
    if not path.is_file():
        raise GoodnoiseError(Code.INVALID_INPUT, f"{path} is neither a file nor a folder; name a photo")
    return [Item(path, out)]


def _among_results(photo: Path, folder: Path, out: Path | None) -> bool:
    if out is None or out.resolve() == folder.resolve():
        return False  # where the results' folder is the photos' own, each is refused, with a reason
    return out.resolve() in photo.resolve().parents


def _refuse_collisions(items: Sequence[Item]) -> None:
    seen: dict[tuple[Path, str], Path] = {}
    for item in items:
        if item.folder is None:
            continue
        first = seen.setdefault((item.folder, item.source.name), item.source)
        if first is not item.source:
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                f"{first} and {item.source} would both become {item.folder / item.source.name}; "
                "protect them into two folders",
            )


def run_batch(
    items: Sequence[Item], batch: Batch, *, progress: Callable[[int, Item], Progress] | None = None
) -> Iterator[Result]:
    """Protect photo after photo; each result is on the disk before it is yielded.

    A photo that cannot be protected yields its error and the rest go on. A second run with the same settings
    yields what is done already and goes on with what is not.

    Args:
        items: what to protect.
        batch: how.
        progress: called for each photo with its number; gives the photo's own progress.
    """
    digest = _digest(batch)
    journals: dict[Path, Journal] = {}
    for number, item in enumerate(items):
        yield _result(item, batch, digest, journals, progress(number, item) if progress else None)


def _result(
    item: Item, batch: Batch, digest: str, journals: dict[Path, Journal], tell: Progress | None
) -> Result:
    try:
        return _one(item, batch, digest, journals, tell)
    except GoodnoiseError as error:
        # A copy: the error's traceback holds the photo, and there may be thousands.
        failure = GoodnoiseError(error.code, error.message, error.details)
    except MemoryError:
        failure = GoodnoiseError(
            Code.EXHAUSTED, f"{item.source.name} needs more memory than there is; save it smaller"
        )
    except Exception as error:  # a fault of this program must not cost the other photos
        _log.exception("a photo could not be protected")
        reason = f"{type(error).__name__}: {error}"
        failure = GoodnoiseError(
            Code.INTERNAL, f"{item.source.name} could not be protected ({reason}); report it"
        )
    return Result(item.source, None, None, failure)


def _one(
    item: Item, batch: Batch, digest: str, journals: dict[Path, Journal], tell: Progress | None
) -> Result:
    name, folder = item.source.name, item.folder or item.source.parent
    data = read_content(item.source)
    sha256 = sha256_hex(data)
    photo = read_photo(data, name=name)
    _require_writable(folder)
    if folder not in journals:
        journals[folder] = Journal(folder)
    journal = journals[folder]
    earlier = journal.finished(name, sha256, digest)
    if earlier is not None and (not batch.with_report or _has_report(folder / earlier.output)):
        return Result(item.source, folder / earlier.output, earlier.report, resumed=True)
    target = output_path(item.source, item.folder, photo.format, overwrite=True)
    overwrite = batch.overwrite or journal.wrote(target.name, sha256)
    output_path(item.source, item.folder, photo.format, overwrite=overwrite)  # refuses before the work
    outcome = protect(photo, batch.nets, batch.options, album=batch.album, hints=batch.hints, progress=tell)
    report = outcome_to_dict(outcome, bundle=batch.nets.version)
    journal.note(Entry(name, sha256, digest, target.name, sha256_hex(outcome.data), report))
    if overwrite:
        for path in _report_paths(target):
            path.unlink(missing_ok=True)  # it is of the result that is replaced
    write_atomic(target, outcome.data, overwrite=overwrite)
    if batch.with_report:
        write_report(target, outcome, report)
    return Result(item.source, target, report)


def _require_writable(folder: Path) -> None:
    """Find out before the work, not after it."""
    with storage_errors(folder, setting="-o"):
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise GoodnoiseError(
            Code.PERMISSION, f"results may not be written to {folder}; give another folder with -o"
        )


def write_report(target: Path, outcome: Outcome, report: dict[str, Any]) -> None:
    """The JSON report and the picture, beside a result."""
    text = json.dumps(report, indent=1, allow_nan=False).encode() + b"\n"
    buffer = io.BytesIO()
    report_picture(outcome).save(buffer, "PNG")
    for path, content in zip(_report_paths(target), (text, buffer.getvalue()), strict=True):
        write_atomic(path, content, overwrite=True)


def _report_paths(target: Path) -> list[Path]:
    return [target.with_name(target.name + suffix) for suffix in REPORT_SUFFIXES]


def _has_report(target: Path) -> bool:
    return all(path.exists() for path in _report_paths(target))


def _digest(batch: Batch) -> str:
    """Of everything that decides a result besides the photo."""
    album = hashlib.sha256()
    if batch.album is not None:
        for name in sorted(batch.album.anchors):
            album.update(batch.album.anchors[name].tobytes())
    settings = {
        "bundle": batch.nets.version,
        "profile": batch.nets.profile,
        "album": album.hexdigest() if batch.album is not None else None,
        "report": batch.with_report,
        "level": batch.level if batch.hints is not None else None,
        "options": repr(asdict(batch.options)),
    }
    return sha256_hex(json.dumps(settings, sort_keys=True).encode())
