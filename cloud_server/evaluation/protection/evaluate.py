"""The whole evaluation: rows, table, pictures, hint quality, defences; and where each is written."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cloud_server.evaluation.protection.cloaks import held_out_faces
from cloud_server.evaluation.protection.cloud import FACES
from cloud_server.evaluation.protection.pairs import REPORTING, TUNING, main_face, positive_pairs, read_pixels
from cloud_server.evaluation.protection.pictures import contact_sheet, curve
from cloud_server.evaluation.protection.recognisers import detector_of, load_recognisers
from cloud_server.evaluation.protection.report import markdown
from cloud_server.evaluation.protection.rows import (
    ATTACK_ROWS,
    CURVE,
    LEVEL_ROWS,
    ROWS,
    Quality,
    Row,
    read_rows,
    role_of,
)
from cloud_server.evaluation.protection.run import Run
from cloud_server.evaluation.protection.summary import hint_quality, summarise
from models.store import Store, default_store
from shared.errors import Code, GoodnoiseError
from shared.files import atomic_file, write_atomically

__all__ = ["JUDGES", "Progress", "Wanted", "chosen_rows", "evaluate"]

JUDGES = ("mobilefacenet-512", "mobilefacenet-192", "sface", "dlib-resnet")
# Told what is done, how much of it, and of how much.
Progress = Callable[[str, int, int], None]

_SHEET_FACES, _SHEET_ROWS = 5, 6
_PUBLIC_FACES = 256


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What an operator asks for; see the options of the command."""

    lfw: Path
    out: Path
    rows: tuple[Row, ...]
    qualities: tuple[Quality, ...] = ()
    pairs: int = 150
    tuning: bool = False
    recognisers: tuple[str, ...] = JUDGES
    purifiers: tuple[str, ...] = ()
    adaptive: tuple[str, ...] = ()
    adapt: str = JUDGES[0]
    train_photos: int = 300
    adapt_steps: int = 200
    denoiser_steps: int = 600
    processes: int = 2
    seed: int = 0


def chosen_rows(
    file: Path | None,
    *,
    curve: bool = False,
    levels: bool = False,
    attacks: bool = False,
    only: Sequence[str] = (),
    quality: tuple[str, str, str] | None = None,
) -> tuple[tuple[Row, ...], tuple[Quality, ...]]:
    """Rows and qualities from a file, or the usual rows and those asked for beside them.

    Raises:
        GoodnoiseError: as of `read_rows`; INVALID_INPUT when no row is left or `quality` names none.
    """
    rows, qualities = read_rows(file) if file else (ROWS, ())
    rows += CURVE if curve else ()
    rows += LEVEL_ROWS if levels else ()
    rows += ATTACK_ROWS if attacks else ()
    rows = tuple(row for row in rows if not only or any(text in row.name for text in only))
    if not rows:
        raise GoodnoiseError(Code.INVALID_INPUT, f"--only {' '.join(only)} leaves no row")
    if quality is not None:
        _named(rows, quality)
        qualities += (Quality(alone=quality[0], hint=quality[1], ensemble=quality[2]),)
    return rows, qualities


def _named(rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    by_name = {row.name: row for row in rows}
    for name in names:
        if name not in by_name:
            raise GoodnoiseError(
                Code.INVALID_INPUT, f"there is no row {name!r}; there are: {'; '.join(by_name)}"
            )
    return [by_name[name] for name in names]


def evaluate(wanted: Wanted, progress: Progress) -> str:
    """Measure, write everything into `wanted.out`, and give the report as Markdown.

    Raises:
        GoodnoiseError: what is missing or wrong, naming the way out.
        KeyboardInterrupt: what is measured is kept.
    """
    # OpenCV 5 warns about a setting of its own that FaceDetectorYN makes, and takes all cores.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    cv2.setNumThreads(1)
    sets = TUNING if wanted.tuning else REPORTING
    store = Store(default_store())
    pairs = positive_pairs(wanted.lfw, sets)[: wanted.pairs]
    out = wanted.out.resolve()
    run = Run(out, pairs, load_recognisers(wanted.recognisers, store), store, wanted.processes, wanted.seed)
    defended = _named(wanted.rows, (*wanted.purifiers, *wanted.adaptive))
    _public_faces(run, wanted, progress)
    _measure(run, wanted.rows, progress)
    found = {
        "data": f"LFW View 2 sets {sets[0]}-{sets[-1]}, {len(pairs)} positive pairs, largest albums first",
        "reporting": not wanted.tuning,
        "rows": _table(run, wanted.rows),
        "quality": [entry for item in wanted.qualities for entry in _qualities(run, wanted.rows, item)],
        "defences": _defences(run, wanted, progress) if defended else [],
    }
    _write(out, found)
    _sheet(run, wanted.rows, out / "contact.png")
    return markdown(found)


def _public_faces(run: Run, wanted: Wanted, progress: Progress) -> None:
    """What clouds ask their ensembles on at levels `sketch` and `sign`: people of sets 4-6 in no pair."""
    place = run.folder / "clouds" / FACES
    if place.exists() or not any(row.level in ("sketch", "sign") for row in wanted.rows):
        return
    faces, _ = held_out_faces(run, wanted.lfw, 0, most=_PUBLIC_FACES, progress=progress)
    place.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(place) as file:
        np.savez(file, faces=np.rint(faces * 255).astype(np.uint8))


def _measure(run: Run, rows: Sequence[Row], progress: Progress) -> None:
    total = run.left(rows)
    done = 0
    lock = threading.Lock()

    def tell(_: str) -> None:
        nonlocal done
        with lock:
            done += 1
            progress("pairs x rows", done, total)

    progress("pairs x rows", 0, total)
    run.measure(rows, progress=tell)


def _table(run: Run, rows: Sequence[Row]) -> dict[str, Any]:
    table = {}
    for row in rows:
        results = run.results(row)
        if all("missing" in result for result in results.values()):
            continue
        size = run.device.installed(row).manifest.size if row.kind == "device" else 0
        table[row.name] = summarise(row, results, run.recognisers, bytes_down=size)
    if not table:
        raise GoodnoiseError(Code.NO_FACE, "no pair has a face in both photos; give other photos")
    return table


def _qualities(run: Run, rows: Sequence[Row], wanted: Quality) -> list[dict[str, Any]]:
    """On every recogniser that is a judge of all three rows."""
    names = {"alone": wanted.alone, "hint": wanted.hint, "ensemble": wanted.ensemble}
    chosen = _named(rows, tuple(names.values()))
    alone, hint, ensemble = (run.results(row) for row in chosen)
    judges = [r for r in run.recognisers if all(role_of(r.name, row) == "judge" for row in chosen)]
    return [
        {"rows": names, "judge": r.name, **hint_quality(alone, hint, ensemble, r, condition=condition)}
        for r in judges
        for condition in ("png", "shared")
    ]


def _defences(run: Run, wanted: Wanted, progress: Progress) -> list[dict[str, Any]]:
    from cloud_server.evaluation.protection.defences import Training, defences

    settings = Training(
        lfw=wanted.lfw,
        photos=wanted.train_photos,
        adapt=wanted.adapt,
        adapt_steps=wanted.adapt_steps,
        denoiser_steps=wanted.denoiser_steps,
        seed=wanted.seed,
    )
    return [
        entry
        for row in wanted.rows
        if row.name in (*wanted.purifiers, *wanted.adaptive)
        for entry in defences(
            run,
            row,
            settings,
            purify=row.name in wanted.purifiers,
            adapt=row.name in wanted.adaptive,
            progress=progress,
        )
    ]


def _write(out: Path, found: dict[str, Any]) -> None:
    text = json.dumps(found, indent=1, allow_nan=False) + "\n"
    write_atomically(out / "protection.json", text.encode())
    write_atomically(out / "protection.md", markdown(found).encode())
    curve(out / "curve.png", found["rows"])


def _sheet(run: Run, rows: Sequence[Row], path: Path) -> None:
    """The first pairs under the first rows that have a photo of each."""
    detector = detector_of(run.store)
    faces = []
    for pair in run.pairs[:_SHEET_FACES]:
        pixels = read_pixels(pair.task.target)
        face = main_face(detector, pixels)
        shown = {"original": pixels}
        for row in rows[:_SHEET_ROWS]:
            result = run.results(row).get(pair.task.name, {})
            if "photo" in result:
                looks = f" ({result['psnr']:.1f} dB)" if result["psnr"] is not None else ""
                shown[row.name + looks] = read_pixels(run.folder / result["photo"])
        if face is not None:
            faces.append((face, shown))
    if faces:
        contact_sheet(path, faces)
