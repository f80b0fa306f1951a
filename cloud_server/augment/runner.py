"""Running a job in one process, shard by shard. What was written is not made again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import filelock

from cloud_server.augment.formats import codec
from cloud_server.augment.job import Job
from cloud_server.augment.plan import plan
from cloud_server.augment.progress import OnProgress, Progress, Stage
from cloud_server.augment.records import Record, Summary, summarise
from cloud_server.augment.shards import Setup, ShardMaker, Sink, shards_of
from cloud_server.augment.stages import fingerprint, job_errors, prepare
from cloud_server.augment.types import Draw, Source
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors, write_atomically

__all__ = ["EXAMPLES", "Counter", "check_cancelled", "finish", "opened", "planned", "run"]

# Samples of each kind that are kept for the report, over the whole run.
EXAMPLES = 12


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
        sink.sweep()
        maker = ShardMaker(setup, source, sink, work)
        counter = Counter(len(draws), on_progress)
        records = []
        for number, part in enumerate(shards_of(draws, job.shard)):
            check_cancelled(cancelled)
            with storage_errors(work, setting="--out"):
                record = maker.shard(number, part)
            counter.add(record)
            records.append(replace(record, examples=()))
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
        yield Setup(job, parts, _each(len(draws), job.shard)), draws
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


def check_cancelled(cancelled: Callable[[], bool]) -> None:
    """Raise CANCELLED when it is wished."""
    if cancelled():
        raise GoodnoiseError(Code.CANCELLED, "stopped; run it again to go on from there")


def _each(count: int, shard: int) -> int:
    """Samples of each kind that a shard keeps for the report."""
    return -(-EXAMPLES // max(-(-count // shard), 1))


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
