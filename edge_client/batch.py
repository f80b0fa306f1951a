"""Many photos: which files there are, one after the other, and a journal to go on from."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_client.album import Album
from edge_client.devicenets import DeviceNets
from edge_client.photos import SUFFIXES, output_path, read_photo, write_atomic
from edge_client.protect import Outcome, Progress, ProtectOptions, protect
from edge_client.report import outcome_to_dict, report_picture
from shared.bundle import sha256_hex
from shared.errors import Code, GoodnoiseError

__all__ = ["JOURNAL", "Batch", "Item", "Result", "find_photos", "run_batch"]

# Kept beside the results: which photo, with which settings, became which file.
JOURNAL = ".goodnoise.jsonl"
PHOTO_SUFFIXES = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)


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
    """Everything that one run shares."""

    nets: DeviceNets
    options: ProtectOptions
    album: Album | None = None
    with_report: bool = False
    overwrite: bool = False


def find_photos(paths: Sequence[Path], out: Path | None) -> list[Item]:
    """The photos that paths name, folders searched through, in a fixed order.

    Below `out` the folders' structure is kept. Hidden files and earlier results are passed over.

    Raises:
        GoodnoiseError: NOT_FOUND for a path that does not exist or a folder without photos; INVALID_INPUT
            when two photos would have one result.
    """
    items: list[Item] = []
    for path in paths:
        if path.is_dir():
            inside = list(_photos_below(path, out))
            if not inside:
                raise GoodnoiseError(
                    Code.NOT_FOUND, f"folder {path} holds no photos ({', '.join(PHOTO_SUFFIXES)})"
                )
            items += [Item(p, None if out is None else out / p.parent.relative_to(path)) for p in inside]
        elif path.exists():
            items.append(Item(path, out))
        else:
            raise GoodnoiseError(Code.NOT_FOUND, f"{path} does not exist")
    _refuse_collisions(items)
    return items


def _photos_below(folder: Path, out: Path | None) -> Iterator[Path]:
    results = out.resolve() if out is not None else None
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or path.suffix.lower() not in PHOTO_SUFFIXES or not path.is_file():
            continue
        if ".protected" in path.suffixes or path.name.endswith(".report.png"):
            continue
        inside_out = results is not None and results != folder.resolve() and results in path.resolve().parents
        if not inside_out:
            yield path


def _refuse_collisions(items: Sequence[Item]) -> None:
    seen: dict[tuple[Path | None, str], Path] = {}
    for item in items:
        if item.folder is None:
            continue
        key = (item.folder, item.source.name.lower())
        if key in seen and seen[key].resolve() != item.source.resolve():
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                f"{seen[key]} and {item.source} would both become {item.folder / item.source.name}; "
                "protect them into two folders",
            )
        seen[key] = item.source


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
    for number, item in enumerate(items):
        tell = progress(number, item) if progress else None
        try:
            yield _one(item, batch, digest, tell)
        except GoodnoiseError as error:
            yield Result(item.source, None, None, error)


def _one(item: Item, batch: Batch, digest: str, tell: Progress | None) -> Result:
    data = _read(item.source)
    photo = read_photo(data, name=item.source.name)
    folder = item.folder or item.source.parent
    folder.mkdir(parents=True, exist_ok=True)
    earlier = _journalled(folder, item.source.name, sha256_hex(data), digest)
    if earlier is not None:
        return Result(item.source, folder / earlier["output"], earlier["report"], resumed=True)
    known = _is_own_result(folder, output_path(item.source, item.folder, photo.format, overwrite=True))
    target = output_path(item.source, item.folder, photo.format, overwrite=batch.overwrite or known)
    outcome = protect(photo, batch.nets, batch.options, album=batch.album, progress=tell)
    report = outcome_to_dict(outcome, bundle=batch.nets.version)
    write_atomic(target, outcome.data, overwrite=batch.overwrite or known)
    if batch.with_report:
        write_report(target, outcome, report)
    _journal(
        folder,
        {
            "source": item.source.name,
            "sha256": sha256_hex(data),
            "settings": digest,
            "output": target.name,
            "output_sha256": sha256_hex(outcome.data),
            "report": report,
        },
    )
    return Result(item.source, target, report)


def write_report(target: Path, outcome: Outcome, report: dict[str, Any]) -> None:
    """The JSON report and the picture, beside a result."""
    text = json.dumps(report, indent=1).encode() + b"\n"
    write_atomic(target.with_name(target.name + ".report.json"), text, overwrite=True)
    buffer = io.BytesIO()
    report_picture(outcome).save(buffer, "PNG")
    write_atomic(target.with_name(target.name + ".report.png"), buffer.getvalue(), overwrite=True)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise GoodnoiseError(Code.INVALID_INPUT, f"{path} cannot be read: {error.strerror}") from error


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
        "options": repr(asdict(batch.options)),
    }
    return sha256_hex(json.dumps(settings, sort_keys=True).encode())


def _entries(folder: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = (folder / JOURNAL).read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # a line cut off by a crash: the photo is done again
        if isinstance(entry, dict) and {
            "source",
            "sha256",
            "settings",
            "output",
            "output_sha256",
            "report",
        } <= set(entry):
            yield entry


def _journalled(folder: Path, name: str, source: str, settings: str) -> dict[str, Any] | None:
    for entry in _entries(folder):
        same = (entry["source"], entry["sha256"], entry["settings"]) == (name, source, settings)
        if same and _unchanged(folder / entry["output"], entry["output_sha256"]):
            return entry
    return None


def _is_own_result(folder: Path, target: Path) -> bool:
    return any(
        entry["output"] == target.name and _unchanged(target, entry["output_sha256"])
        for entry in _entries(folder)
    )


def _unchanged(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_hex(path.read_bytes()) == sha256


def _journal(folder: Path, entry: dict[str, Any]) -> None:
    with (folder / JOURNAL).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, sort_keys=True) + "\n")
