"""Running a job in one process, shard by shard. What was written is not made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Protocol

import filelock

from cloud_server.augment.formats import codec
from cloud_server.augment.job import Job
from cloud_server.augment.pixels import as_picture, as_planes
from cloud_server.augment.plan import plan
from cloud_server.augment.records import (
    Example,
    Record,
    Summary,
    read_record,
    record_of,
    summarise,
    write_record,
)
from cloud_server.augment.stages import (
    OnProgress,
    Parts,
    Progress,
    Stage,
    fingerprint,
    job_errors,
    load_parts,
    prepare,
)
from cloud_server.augment.types import Draw, Sample, Source
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors, write_atomically

__all__ = [
    "EXAMPLES",
    "Counter",
    "Setup",
    "ShardMaker",
    "check_cancelled",
    "finish",
    "opened",
    "planned",
    "record_path",
    "run",
    "shards_of",
]

# Samples that are kept for the report, evenly spaced over the plan: not chosen by their looks.
EXAMPLES = 24


class Sink(Protocol):
    """Where samples go; see `formats`."""

    def has(self, shard: int, name: str) -> bool:
        """Whether the shard of that name was written whole."""

    def write(self, shard: int, name: str, samples: Sequence[Sample]) -> None:
        """Write a shard whole or not at all; instead of another of that number."""

    def finish(self, summary: Summary) -> None:
        """Write what describes the whole."""


@dataclass(frozen=True)
class Setup:
    """All that decides a shard's bytes beside its draws and their parents."""

    job: Job
    parts: Parts
    shown: frozenset[int]

    @property
    def digest(self) -> str:
        """SHA-256, hexadecimal."""
        parts = self.parts
        weights = (parts.surrogate_sha256, parts.second_sha256, parts.universal_sha256)
        said = [self.job.digest, list(parts.classes), parts.shape, list(weights)]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


class ShardMaker:
    """Makes shards; the networks are loaded with the first that is not there yet.

    Args:
        setup: what is made.
        source: where parents are read from.
        sink: where samples go.
        work: folder of the records.
    """

    def __init__(self, setup: Setup, source: Source, sink: Sink, work: Path) -> None:
        self._setup, self._source, self._sink, self._work = setup, source, sink, work
        self._make: Callable[[Sequence[Draw], Source], list[Sample]] | None = None

    def shard(self, number: int, draws: Sequence[Draw]) -> Record:
        """The record of a shard, which is written where it is missing."""
        name = self._name(draws)
        path = record_path(self._work, number)
        record = read_record(path)
        if record is not None and record.name == name and self._sink.has(number, name):
            return record
        with job_errors():
            samples = self._engine()(draws, self._source)
        self._sink.write(number, name, samples)
        record = record_of(
            number,
            name,
            draws,
            samples,
            examples=[self._example(sample) for sample in samples if sample.draw.number in self._setup.shown],
            bias=self._setup.job.recipe.bias,
        )
        write_record(path, record)
        return record

    def _name(self, draws: Sequence[Draw]) -> str:
        digest = hashlib.sha256(self._setup.digest.encode())
        for draw in draws:
            parents = [*draw.seeds, *([draw.spare] if draw.spare >= 0 else [])]
            stored = [(self._source.name(i), self._source.digest(i)) for i in parents]
            digest.update(json.dumps([astuple(draw), stored]).encode())
        return digest.hexdigest()[:16]

    def _example(self, sample: Sample) -> Example:
        index, resize = sample.parent, bool(self._setup.job.resize)
        picture, name = self._source.read(index), self._source.name(index)
        return Example.of(
            sample, as_picture(as_planes(picture, self._setup.parts.shape, name=name, resize=resize))
        )

    def _engine(self) -> Callable[[Sequence[Draw], Source], list[Sample]]:
        if self._make is None:
            from cloud_server.augment.engine import Engine

            job, parts = self._setup.job, self._setup.parts
            loaded = load_parts(parts)
            engine = Engine(
                job.recipe,
                loaded.surrogate,
                codec=codec(job.encoding),
                seed=job.seed,
                universal=loaded.universal,
                batch=job.batch,
                second=loaded.second,
                shape=parts.shape,
                resize=bool(job.resize),
            )
            self._make = engine.make
        return self._make


class Counter:
    """Adds records up for the progress.

    Args:
        total: draws of the plan.
        on_progress: called with each record.
    """

    def __init__(self, total: int, on_progress: OnProgress) -> None:
        self._total, self._on_progress = total, on_progress
        self._done = self._made = self._accepted = 0
        on_progress(Progress(Stage.SAMPLES, 0, total))

    def add(self, record: Record) -> None:
        """Count a record."""
        self._done += record.asked
        self._made += record.made
        self._accepted += record.accepted
        self._on_progress(Progress(Stage.SAMPLES, self._done, self._total, self._made, self._accepted))


def run(
    job: Job,
    source: Source,
    sink: Sink,
    *,
    work: Path,
    on_progress: OnProgress = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Summary:
    """Make a job's samples in this process, and go on where an earlier call ended.

    Args:
        job: the settings.
        source: the dataset; images are read as they are needed.
        sink: where samples go.
        work: folder for the surrogate and the records, of this job alone.
        on_progress: called after each update, step and shard.
        cancelled: asked as often.

    Raises:
        GoodnoiseError: CANCELLED when `cancelled` said so, after the shard at hand; INVALID_INPUT or
            PRECONDITION for what does not fit together, or a folder that holds another run.
    """
    with opened(job, source, work=work, on_progress=on_progress, cancelled=cancelled) as (setup, draws):
        maker = ShardMaker(setup, source, sink, work)
        counter = Counter(len(draws), on_progress)
        records = []
        for number, part in enumerate(shards_of(draws, job.shard)):
            check_cancelled(cancelled)
            with storage_errors(work, setting="--out"):
                record = maker.shard(number, part)
            counter.add(record)
            records.append(record)
        return finish(setup, source, sink, records, work)


def finish(setup: Setup, source: Source, sink: Sink, records: Sequence[Record], work: Path) -> Summary:
    """Sum up the records, and close the sink."""
    job = setup.job
    summary = summarise(
        records,
        source,
        recipe=job.recipe,
        seed=job.seed,
        encoding=codec(job.encoding).name,
        surrogate_sha256=setup.parts.surrogate_sha256,
    )
    with storage_errors(work, setting="--out"):
        sink.finish(summary)
        write_atomically(work / "summary.json", summary.text().encode())
    return summary


@contextmanager
def opened(
    job: Job,
    source: Source,
    *,
    work: Path,
    on_progress: OnProgress,
    cancelled: Callable[[], bool],
) -> Iterator[tuple[Setup, tuple[Draw, ...]]]:
    """The plan and the parts of a run, with its folder locked; see `run`."""
    with storage_errors(work, setting="--out"):
        work.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(work / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise GoodnoiseError(
            Code.PRECONDITION, f"another run is at work in {work}; wait for it, or choose another --out"
        ) from error
    try:
        draws = planned(job, source)
        _claim(work, job, source)
        with job_errors(), storage_errors(work, setting="--out"):
            parts = prepare(
                job, source, work=work, on_progress=on_progress, check=lambda: check_cancelled(cancelled)
            )
        yield Setup(job, parts, _shown(len(draws))), draws
    finally:
        lock.release()


def planned(job: Job, source: Source) -> tuple[Draw, ...]:
    """The draws of a job; nothing is made.

    Raises:
        GoodnoiseError: INVALID_INPUT where the strategy or the recipe does not fit the dataset.
    """
    with job_errors():
        return plan(
            source.labels,
            classes=source.classes,
            recipe=job.recipe,
            strategy=job.strategy,
            seed=job.seed,
            groups=source.groups,
        )


def record_path(work: Path, number: int) -> Path:
    """Where a shard's record is kept."""
    return work / f"shard-{number:06d}.json"


def shards_of(draws: Sequence[Draw], size: int) -> Iterator[Sequence[Draw]]:
    """Parts of the plan, in its order, as they are made and written."""
    for start in range(0, len(draws), size):
        yield draws[start : start + size]


def check_cancelled(cancelled: Callable[[], bool]) -> None:
    """Raise CANCELLED when it is wished."""
    if cancelled():
        raise GoodnoiseError(Code.CANCELLED, "stopped; run it again to go on from there")


def _shown(count: int) -> frozenset[int]:
    """Numbers of the draws that the report shows."""
    some = min(EXAMPLES, count)
    return frozenset((2 * i + 1) * count // (2 * some) for i in range(some))


def _claim(work: Path, job: Job, source: Source) -> None:
    """Refuse a folder of another job: its shards would be mixed with this one's."""
    path = work / "job.json"
    said = json.dumps({"job": job.digest, "dataset": fingerprint(source)}, sort_keys=True).encode()
    if path.exists() and path.read_bytes() != said:
        raise GoodnoiseError(
            Code.PRECONDITION,
            f"{work} is of another recipe file or another dataset; choose another --out, or delete both it "
            "and its output",
        )
    if not path.exists():
        with storage_errors(work, setting="--out"):
            write_atomically(path, said)
