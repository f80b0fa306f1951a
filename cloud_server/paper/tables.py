"""A table from start to end: measure what is missing, sum up, write JSON, Markdown and pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cloud_server.paper.bench import Bench, Settings
from cloud_server.paper.datasets import Dataset, open_dataset
from cloud_server.paper.journal import Journal
from cloud_server.paper.markdown import markdown
from cloud_server.paper.nets import recogniser_card
from cloud_server.paper.pictures import chart, sheet
from cloud_server.paper.published import PAPER_TABLE1, PAPER_TABLE2, WHY_DIFFERENT
from cloud_server.paper.runner import Job, jobs_of, run_jobs
from cloud_server.paper.summary import summarise
from cloud_server.paper.table2 import scene_of, variants_of
from models.store import Store, load_card
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Detector
from shared.files import storage_errors, write_atomically

__all__ = ["Order", "make_table"]

Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to make.

    Args:
        settings: what decides a pair's figures.
        pairs: reported pairs of each set, and pairs of each kind for thresholds; None for all.
        processes: how many at a time.
        faces: rows of the picture of faces (table 2).
        out: folder of the results.
    """

    settings: Settings
    pairs: int | None
    processes: int
    faces: int
    out: Path


def make_table(order: Order, *, progress: Progress) -> str:
    """Make the table and return its Markdown; a second run with the same order measures nothing again.

    Args:
        order: what to make.
        progress: opens a bar for a step.

    Raises:
        GoodnoiseError: for what is missing, broken or cannot be written.
    """
    _require_matplotlib()
    settings, store = order.settings, Store(Path(order.settings.models))
    thresholds = _thresholds(settings, store)
    datasets = _datasets(settings, store)
    journal = Journal(order.out / f"pairs-{settings.table}-{settings.key(store)}.jsonl")
    jobs = [job for d in datasets.values() for job in jobs_of(d, order.pairs, seed=settings.seed)]
    with progress("pairs") as report:
        run_jobs(jobs, settings, journal, processes=order.processes, report=report)
    summary = summarise(settings, datasets, thresholds, jobs, journal)
    text = markdown(settings, summary)
    _write(order.out / f"{settings.table}.json", _as_json(order, summary))
    _write(order.out / f"{settings.table}.md", text.encode())
    _write(order.out / f"{settings.table}.png", chart(summary, settings.table))
    if settings.table == "table2" and order.faces:
        with progress("faces") as report:
            report(0, 1)
            _write(order.out / "faces.png", _faces(order, jobs, journal))
    return text


def _require_matplotlib() -> None:
    if find_spec("matplotlib") is None:
        raise GoodnoiseError(
            Code.PRECONDITION, "the tables' pictures need matplotlib; pip install 'goodnoise[train]'"
        )


def _thresholds(settings: Settings, store: Store) -> dict[str, float]:
    """Each recogniser's threshold as a similarity: higher is nearer."""
    cards = [recogniser_card(name, store) for name in settings.networks]
    values = [card.threshold.value if card.threshold is not None else 0.0 for card in cards]
    return {
        card.name: value if card.metric == "cosine" else -value
        for card, value in zip(cards, values, strict=True)
    }


def _datasets(settings: Settings, store: Store) -> dict[str, Dataset]:
    detector = Detector(store.read(load_card("yunet", store.folder)))
    return {name: open_dataset(name, Path(path), detector) for name, path in settings.data}


def _faces(order: Order, jobs: Sequence[Job], journal: Journal) -> bytes:
    """The first pairs of the first set, as the first recogniser in the ArcFace frame sees them."""
    bench = Bench.of(order.settings)
    net = next((n for n in bench.nets if n.card.frame == "arcface112"), bench.nets[0])
    chosen = [job for job in jobs if not job.tuning and "missing" not in journal[job.key]]
    found = []
    for job in chosen[: order.faces]:
        faces = bench.faces(job.dataset, job.pair)
        if faces is not None:
            scene = scene_of(bench, faces, job.number)
            found.append(variants_of(bench, net, faces, scene, job.number))
    return sheet(found)


def _as_json(order: Order, summary: Mapping[str, Any]) -> bytes:
    settings = asdict(order.settings)
    # Where things lie on this machine is nobody's business; sets are named.
    settings.pop("models")
    settings["data"] = [name for name, _ in order.settings.data]
    paper: dict[str, Any] = {f"{net}, {name}": v for (name, net), v in PAPER_TABLE1.items()}
    if order.settings.table == "table2":
        paper = {f"ArcFace, {name}": values for name, values in PAPER_TABLE2.items()}
    content = {
        "settings": {**settings, "pairs": order.pairs},
        "sets": summary,
        "paper": paper,
        "why figures differ": WHY_DIFFERENT[order.settings.table],
    }
    return json.dumps(_without_nan(content), indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"


def _without_nan(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 - that is what NaN is


def _write(path: Path, content: bytes) -> None:
    with storage_errors(path.parent, setting="--out"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
