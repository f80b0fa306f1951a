"""Measuring pairs over processes, with a journal: what was measured once is not measured again."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from functools import lru_cache

import cv2

from cloud_server.paper.bench import Bench, Measure, Result, Settings
from cloud_server.paper.datasets import Dataset, Pair, reported, tuning
from cloud_server.paper.journal import Journal
from cloud_server.paper.table1 import measure_attacks
from cloud_server.paper.table2 import measure_makeup
from cloud_server.pools import spawned_pool
from shared.errors import Code, GoodnoiseError

__all__ = ["Job", "jobs_of", "run_jobs"]

# Called with how many jobs are done and how many there are.
Report = Callable[[int, int], None]
# Of a process: the result, or why there is none.
Answer = tuple[Result, tuple[Code, str] | None]

_MEASURES: dict[str, Measure] = {"table1": measure_attacks, "table2": measure_makeup}


@dataclass(frozen=True)
class Job:
    """One pair: of those reported on, or of those that thresholds come from."""

    dataset: str
    number: int
    pair: Pair
    tuning: bool

    @property
    def key(self) -> str:
        """In the journal."""
        return f"{'tuning' if self.tuning else 'pair'} {self.dataset} {self.number}"


def jobs_of(dataset: Dataset, pairs: int | None, *, seed: int) -> list[Job]:
    """Jobs of a set.

    Args:
        dataset: the set.
        pairs: reported pairs, and pairs of each kind for thresholds; None for all.
        seed: of the choice.
    """
    parts = ((reported(dataset, pairs, seed=seed), False), (tuning(dataset, pairs, seed=seed), True))
    return [Job(dataset.name, number, pair, kind) for part, kind in parts for number, pair in part]


def run_jobs(
    jobs: Sequence[Job], settings: Settings, journal: Journal, *, processes: int, report: Report
) -> None:
    """Measure what the journal does not hold yet.

    Args:
        jobs: pairs.
        settings: what decides their figures; the journal must be of the same.
        journal: where results go, as they come.
        processes: how many at a time, one thread each; 1 stays in this process.
        report: progress.
    """
    missing = [job for job in jobs if job.key not in journal]
    report(len(jobs) - len(missing), len(jobs))
    for done, (job, result) in enumerate(_results(missing, settings, processes), start=1):
        journal.add(job.key, result)
        report(len(jobs) - len(missing) + done, len(jobs))


def _results(jobs: Sequence[Job], settings: Settings, processes: int) -> Iterator[tuple[Job, Result]]:
    if processes == 1 or len(jobs) <= 1:
        for job in jobs:
            yield job, _measured(job, settings)
        return
    pool = spawned_pool(processes, _begin)
    try:
        waiting: dict[Future[Answer], Job] = {pool.submit(_answer, job, settings): job for job in jobs}
        for future in as_completed(waiting):
            result, refusal = future.result()
            if refusal is not None:
                raise GoodnoiseError(*refusal)
            yield waiting[future], result
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    cv2.setNumThreads(1)
    # Ctrl-C reaches every process of a terminal; the first one ends the others after their pair.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _answer(job: Job, settings: Settings) -> Answer:
    # The project's error takes more than its text, so it does not travel between processes by itself.
    try:
        return _measured(job, settings), None
    except GoodnoiseError as error:
        return {}, (error.code, error.message)


@lru_cache(maxsize=1)
def _bench(settings: Settings) -> Bench:
    return Bench.of(settings)


def _measured(job: Job, settings: Settings) -> Result:
    bench = _bench(settings)
    if job.tuning:
        return bench.compared(job.dataset, job.pair)
    faces = bench.faces(job.dataset, job.pair)
    return {"missing": True} if faces is None else _MEASURES[settings.table](bench, faces, job.number)
