"""The same job over Ray Data, for datasets that outgrow one process: the same shards, so the same bytes."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cloud_server.augment.opening import Opening
from cloud_server.augment.progress import OnProgress
from cloud_server.augment.records import Record, Summary, read_record
from cloud_server.augment.runner import Counter, check_cancelled, finish, opened
from cloud_server.augment.shards import Setup, ShardMaker, record_path, shards_of
from cloud_server.augment.types import Draw
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors

__all__ = ["Cluster", "run_with_ray"]

# More blocks than this cost more to schedule than they spread; each then holds several shards.
_BLOCKS = 4096
# Shards travel as numbers and draws, records through the work folder: little has to be held for them.
_STORE_BYTES = 100_000_000

Row = dict[str, Any]


@dataclass(frozen=True)
class Cluster:
    """Where shards are made.

    Args:
        workers: actors, each with a network and one CPU.
        address: of a running cluster, or 'auto'; None starts one here and ends it afterwards. Workers on
            other machines need dataset, output and work folder under the same paths.
    """

    workers: int = 2
    address: str | None = None


def run_with_ray(
    job_of: Opening,
    *,
    work: Path,
    cluster: Cluster,
    on_progress: OnProgress = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Summary:
    """As `runner.run`, with shards made by a pool of actors that keep the networks loaded.

    A worker that dies is started again and its shard made again; a shard is written whole or not at all, so
    nothing is lost or there twice.

    Args:
        job_of: the job, and what it reads and writes.
        work: as there.
        cluster: where.
        on_progress: as there; shards are counted as they end.
        cancelled: asked after each shard.

    Raises:
        GoodnoiseError: as there; UNAVAILABLE when the cluster cannot be reached, PRECONDITION without Ray.
    """
    source = job_of.source()
    sink = job_of.sink(source)
    with opened(job_of.job, source, work=work, on_progress=on_progress, cancelled=cancelled) as found:
        setup, draws = found
        # Here alone, before there are workers: it would take their unfinished files away.
        sink.sweep()
        counter = Counter(len(draws), on_progress)
        numbers = []
        with _ray(cluster) as ray, storage_errors(work, setting="--out"):
            for record in _records(ray, setup, draws, job_of, work, cluster.workers):
                counter.add(record)
                numbers.append(record.number)
                check_cancelled(cancelled)
        records = [replace(_record(work, number), examples=()) for number in sorted(numbers)]
        return finish(setup, source, sink, records, work)


class ShardActor:
    """What an actor of the pool runs: shards as rows in, their numbers out."""

    def __init__(self, setup: Setup, job_of: Opening, work: Path) -> None:
        self._setup, self._job_of, self._work = setup, job_of, work
        self._opened: ShardMaker | None = None

    def __call__(self, batch: Row) -> Row:
        """One row: a shard's number and its draws. An error travels as a row: it takes more than a text."""
        number, draws = int(batch["number"][0]), pickle.loads(batch["draws"][0])  # noqa: S301 - our own
        try:
            self._maker().shard(number, draws)
        except GoodnoiseError as error:
            return {"number": [number], "code": [error.code.value], "message": [error.message]}
        return {"number": [number], "code": [""], "message": [""]}

    def _maker(self) -> ShardMaker:
        # Not at construction: an error there would kill the actor, and tell nobody why.
        if self._opened is None:
            source = self._job_of.source()
            self._opened = ShardMaker(self._setup, source, self._job_of.sink(source), self._work)
        return self._opened


def _records(
    ray: Any,  # noqa: ANN401 - Ray has no types
    setup: Setup,
    draws: Sequence[Draw],
    job_of: Opening,
    work: Path,
    workers: int,
) -> Iterator[Record]:
    rows = [
        {"number": number, "draws": pickle.dumps(tuple(part))}
        for number, part in enumerate(shards_of(draws, setup.job.shard))
    ]
    if not rows:
        return
    # Ray Data starts actors that died again, and gives their rows to others, without being asked to.
    pool = ray.data.ActorPoolStrategy(size=min(workers, len(rows)))
    made = ray.data.from_items(rows, override_num_blocks=min(len(rows), _BLOCKS)).map_batches(
        ShardActor,
        fn_constructor_args=(setup, job_of, work),
        compute=pool,
        batch_size=1,
        num_cpus=1,
    )
    try:
        for row in made.iter_rows():
            if row["code"]:
                raise GoodnoiseError(Code(row["code"]), row["message"])
            yield _record(work, int(row["number"]))
    except ray.exceptions.RayError as error:
        raise GoodnoiseError(
            Code.UNAVAILABLE, f"Ray gave up ({type(error).__name__}); run it again to go on: {error}"
        ) from error


def _record(work: Path, number: int) -> Record:
    record = read_record(record_path(work, number))
    if record is None:
        raise GoodnoiseError(
            Code.PRECONDITION,
            f"shard {number} was made, but its record is not in {work}; all workers need that folder",
        )
    return record


@contextmanager
def _ray(cluster: Cluster) -> Iterator[Any]:
    """Ray, connected, without reports to anyone; a cluster of its own ends with the block."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # It says of every pool of Ray Data that its actors may not come back; they do.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise GoodnoiseError(
            Code.PRECONDITION, "Ray is not installed; pip install 'goodnoise[ray]', or leave out --ray"
        ) from error
    where: Row = {"address": cluster.address}
    if cluster.address is None:
        where = {"address": "local", "num_cpus": cluster.workers, "object_store_memory": _STORE_BYTES}
    try:
        ray.init(**where, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        place = cluster.address or "here"
        raise GoodnoiseError(Code.UNAVAILABLE, f"no Ray cluster at {place}: {error}") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield ray
    finally:
        ray.shutdown()
