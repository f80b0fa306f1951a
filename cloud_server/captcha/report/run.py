"""Making a report: the images, the solvers that are here, the adaptive solver, legibility and verdicts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cloud_server.captcha.challenges.maker import Maker
from cloud_server.captcha.challenges.types import DRAWN, HEIGHT, WIDTH
from cloud_server.captcha.report.harvest import Harvest, Progress, settings_of
from cloud_server.captcha.report.legible import legibility
from cloud_server.captcha.report.pages import html, markdown
from cloud_server.captcha.report.pictures import contact_sheet, learning_curve
from cloud_server.captcha.report.preprocess import PREPROCESSINGS, STRETCHINGS
from cloud_server.captcha.report.readings import Readings
from cloud_server.captcha.report.rows import Row, measure, tries_of
from cloud_server.captcha.report.sample import Condition, Sample, take_sample
from cloud_server.captcha.report.scores import share
from cloud_server.captcha.report.solvers import SOLVERS, Absent, Solver, open_solvers
from cloud_server.captcha.report.sound import SoundPlan, measure_sound
from cloud_server.captcha.report.verdicts import goals, verdict
from cloud_server.captcha.settings import LimitSettings
from cloud_server.captcha.web.reports import LIMITS
from models.store import Store
from shared.files import write_atomically

__all__ = ["SCHEMA", "Report", "ReportOptions", "make_report", "seen_by", "write_report"]

SCHEMA = "goodnoise.captcha.report/1"
# Of the adaptive solver's images and weights. It does not change from report to report, so that what was
# learnt from one maker is there for the next report; the images of a report are others in any case.
_TRAINING_SEED = 0
Point = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What a report is made of.

    Args:
        images: issued images that solvers read.
        solvers: names of `SOLVERS`.
        adaptive: images that the adaptive solver learns from at last; 0 for no adaptive solver.
        seed: of the images.
        limits: of the service, for success within tries.
        plan: changes of the adaptive solver's `Plan`, by name.
        shard: images that the adaptive solver's harvest makes at once.
        sound: what is measured on sounds; None for nothing.
    """

    images: int = 200
    solvers: tuple[str, ...] = tuple(SOLVERS)
    adaptive: int = 0
    seed: int = 0
    limits: LimitSettings = field(default_factory=LimitSettings)
    plan: dict[str, Any] = field(default_factory=dict)
    shard: int = 250
    sound: SoundPlan | None = None


@dataclass(frozen=True)
class Report:
    """A finished report.

    Args:
        content: what is published, JSON values.
        sheet: the contact sheet, PNG.
        curve: the learning curve, PNG; None without an adaptive solver.
    """

    content: dict[str, Any]
    sheet: bytes
    curve: bytes | None


def make_report(
    maker: Maker, options: ReportOptions, work: Path, *, progress: Progress, store: Store | None = None
) -> Report:
    """The report on what a maker makes.

    What was read and learnt is kept in `work`; a second call with the same options goes on from there.

    Args:
        maker: as the service's.
        options: what is measured.
        work: folder.
        progress: told after each step.
        store: of the zoo's networks; the user's own by default.

    Raises:
        GoodnoiseError: as of `open_solvers`, `take_sample` and the solvers.
    """
    here, absent = open_solvers(options.solvers, seen=seen_by(maker), store=store)
    sample = take_sample(maker, options.images, seed=options.seed, progress=progress)
    readings = Readings(work / "readings.jsonl", sample, told=_counted(here, progress))
    readers = [(solver, measure(solver, sample, readings)) for solver in here]
    points: list[Point] = []
    if options.adaptive:
        readers.append(_adaptive(maker, options, sample, readings, work, points, progress))
    rows = [row for _, row in readers]
    tries = tries_of(options.limits)
    sound = measure_sound(options.sound, work, tries=tries, progress=progress)
    content = {**_content(maker, options, sample, rows, absent, points), "sound": sound}
    sheet = contact_sheet(sample, readers, readings)
    return Report(content, sheet, learning_curve(points) if points else None)


def seen_by(maker: Maker) -> tuple[str, ...]:
    """Solvers that are among what the images are made against."""
    cards = {"ppocr-v6-rec": "ppocr", "captcha-whisperer": "whisperer"}
    return tuple(cards[name] for name, _ in maker.recipe.readers if name in cards)


def _counted(here: Sequence[Solver], progress: Progress) -> Callable[[str], None]:
    total = len(Condition) * len(PREPROCESSINGS) + len(STRETCHINGS)
    done = dict.fromkeys([solver.name for solver in here], 0)

    def told(name: str) -> None:
        done[name] = done.get(name, 0) + 1
        progress(f"{name} reads", min(done[name], total), total)

    return told


def _adaptive(
    maker: Maker,
    options: ReportOptions,
    sample: Sample,
    readings: Readings,
    work: Path,
    points: list[Point],
    progress: Progress,
) -> tuple[Solver, Row]:
    from cloud_server.captcha.report.adaptive import train_adaptive
    from cloud_server.captcha.report.training import Plan

    sizes = _sizes(options.adaptive)
    values = {"lengths": maker.recipe.lengths, "seed": _TRAINING_SEED, **options.plan}
    plan = Plan(**{**values, "sizes": sizes})
    harvest = Harvest(maker, work / "harvest", _TRAINING_SEED, options.shard)
    curve = train_adaptive(harvest, plan, style=maker.recipe.style, progress=progress)
    for point, solver in curve:
        row = measure(solver, sample, readings, adaptive=True)
        points.append({**asdict(point), "attacked": asdict(row.attacked), "clean": asdict(row.clean)})
    return solver, row


def _sizes(most: int) -> tuple[int, ...]:
    """1,000 images, doubled up to the number."""
    sizes = [most]
    for size in (1000, 2000, 4000, 8000, 16000):
        if size < most:
            sizes.append(size)
    return tuple(sorted(sizes))


def _content(
    maker: Maker,
    options: ReportOptions,
    sample: Sample,
    rows: Sequence[Row],
    absent: Sequence[Absent],
    points: Sequence[Point],
) -> dict[str, Any]:
    found = legibility(sample)
    tries = tries_of(options.limits)
    return {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "goodnoise": version("goodnoise"),
        "settings": settings_of(maker),
        "images": _images(maker, options, sample),
        "goals": goals(rows, found),
        "solvers": [{**row.as_dict(tries), "verdict": verdict(row)} for row in rows],
        "absent": [{"solver": row.name, "reason": row.reason} for row in absent],
        "tries": [asdict(row) for row in tries],
        "learning_curve": list(points),
        "legibility": found,
        "limits": list(LIMITS),
    }


def _images(maker: Maker, options: ReportOptions, sample: Sample) -> dict[str, Any]:
    made = len(sample.issued) + len(sample.held_back)
    return {
        "count": len(sample.issued),
        "made": made,
        "issued": asdict(share(made - len(sample.held_back), made)),
        "seed": options.seed,
        "width": WIDTH,
        "height": HEIGHT,
        "alphabet": DRAWN,
        "lengths": list(maker.recipe.lengths),
        "levels": maker.recipe.levels,
        "made_against": [name for name, _ in maker.recipe.readers],
        "preprocessings": list(PREPROCESSINGS),
        "stretchings": list(STRETCHINGS),
    }


def write_report(report: Report, folder: Path) -> bytes:
    """Write report.json, report.md, report.html, sheet.png and curve.png, each whole.

    Args:
        report: what is written.
        folder: made where it is missing.

    Returns:
        The JSON, as it can be published.

    Raises:
        OSError: as the system says it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = (json.dumps(report.content, indent=1, allow_nan=False) + "\n").encode()
    write_atomically(folder / "report.md", markdown(report.content).encode())
    write_atomically(folder / "report.html", html(report.content).encode())
    write_atomically(folder / "sheet.png", report.sheet)
    if report.curve is not None:
        write_atomically(folder / "curve.png", report.curve)
    write_atomically(folder / "report.json", content)
    return content
