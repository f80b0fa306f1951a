"""The service itself: jobs are handed in, told of, cancelled and deleted, and their results read."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from cloud_server.augment.job import Job
from cloud_server.augment.jobs.changes import Changes
from cloud_server.augment.jobs.counts import JobCounts
from cloud_server.augment.jobs.intake import Intake
from cloud_server.augment.jobs.orders import check_count, checked_job
from cloud_server.augment.jobs.places import Places
from cloud_server.augment.jobs.quotas import Quotas, over
from cloud_server.augment.jobs.records import ENDED, OPEN, Order, ResultFile, State, StoredJob
from cloud_server.augment.jobs.roots import Roots
from cloud_server.augment.jobs.store import JobStore
from cloud_server.augment.jobs.workers import Workers
from shared.errors import Code, GoodnoiseError

__all__ = ["JobDesk"]

_FILES_GONE = (State.FAILED, State.CANCELLED, State.EXPIRED)


class JobDesk:
    """Answers owners; every job that it is asked for must be the asking owner's.

    Args:
        store: of jobs.
        places: of their folders.
        roots: datasets that the operator allowed.
        quotas: limits.
        workers: who make the jobs.
        changes: who watch them.
        counts: metrics.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        store: JobStore,
        places: Places,
        roots: Roots,
        quotas: Quotas,
        workers: Workers,
        changes: Changes,
        counts: JobCounts,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._places, self._roots, self.quotas = store, places, roots, quotas
        self._workers, self._changes, self._counts, self._clock = workers, changes, counts, clock
        self._arriving: Counter[str] = Counter()
        self._arriving_bytes: dict[str, int] = {}

    async def known(self, owner: str, order: Order) -> StoredJob | None:
        """The job that this order gave before.

        Raises:
            GoodnoiseError: PRECONDITION, the key is taken by another order.
        """
        found = await self._store.of_key(owner, order.key)
        if found is not None and found.order != order.digest:
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"key {order.key!r} is that of {found.id}, which was ordered otherwise; choose another key",
                {"field": "key"},
            )
        return found

    @asynccontextmanager
    async def intake(self, owner: str, order: Order) -> AsyncIterator[Intake]:
        """Take in a job; unless the block finishes it, nothing of it stays.

        Raises:
            GoodnoiseError: INVALID_INPUT, PERMISSION, NOT_FOUND or EXHAUSTED, naming the field.
        """
        check_count(order, self.quotas)
        job = await asyncio.to_thread(checked_job, order, self.quotas)
        dataset = await asyncio.to_thread(self._roots.find, order.dataset) if order.dataset else None
        await self._check_room(owner)
        self._arriving[owner] += 1
        name = self._places.new_job()
        intake: Intake | None = None
        try:
            intake = await self._new_intake(name, owner, order, job, dataset)
            yield intake
        finally:
            self._arriving[owner] -= 1
            self._arriving_bytes.pop(name, None)
            # A job that was made of it lies elsewhere by now.
            if intake is not None:
                await asyncio.shield(intake.close())
            await asyncio.shield(asyncio.to_thread(self._places.drop_staged, name))

    async def get(self, owner: str, job: str) -> StoredJob:
        """A job.

        Raises:
            GoodnoiseError: NOT_FOUND.
        """
        found = await self._store.get(owner, job)
        if found is None:
            raise GoodnoiseError(
                Code.NOT_FOUND,
                "there is no such job of yours; list your jobs to see them",
                {"field": "job_id"},
            )
        return found

    async def waiting_before(self, job: StoredJob) -> int:
        """About how many jobs go before one."""
        return await self._store.before(job) if job.state is State.QUEUED else 0

    async def page(self, owner: str, after: str, size: int) -> tuple[tuple[StoredJob, ...], str]:
        """Some jobs of an owner, the newest first, and the token of the next page."""
        last = await self._store.get(owner, after) if after else None
        if after and last is None:
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                "page_token is of no page: its job was deleted, or it never was one; list from the start",
                {"field": "page_token"},
            )
        found = await self._store.page(owner, last, size + 1)
        return found[:size], found[size - 1].id if len(found) > size else ""

    async def watch(self, owner: str, job: str, revision: int) -> AsyncIterator[StoredJob]:
        """A job as it is, and after each change, until it has ended.

        Args:
            owner: who asks.
            job: which.
            revision: what the watcher has seen; 0 for nothing.
        """
        while True:
            ticket = self._changes.ticket(job)
            found = await self.get(owner, job)
            if found.revision > revision or (found.state in ENDED and revision == 0):
                revision = found.revision
                yield found
            if found.state in ENDED:
                return
            await self._changes.wait(ticket)

    async def cancel(self, owner: str, job: str) -> StoredJob:
        """End a job.

        Raises:
            GoodnoiseError: NOT_FOUND, or PRECONDITION when it has ended otherwise.
        """
        await self.get(owner, job)
        now = self._clock()
        times = {"ended": now, "expires": now + self.quotas.keep_seconds, "held": 0}
        changed = await self._store.change(job, OPEN, state=State.CANCELLED, **times)
        if changed is None:
            found = await self.get(owner, job)
            if found.state is State.CANCELLED:
                return found
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"the job is {found.state.value} and cannot be cancelled; delete it instead",
            )
        await self._clear(job)
        self._counts.ended(State.CANCELLED, now - (changed.started or now))
        return changed

    async def delete(self, owner: str, job: str) -> None:
        """End a job where it has not, and forget it.

        Raises:
            GoodnoiseError: NOT_FOUND.
        """
        await self.get(owner, job)
        await self.remove(job)

    async def remove(self, job: str) -> None:
        """Forget anyone's job, and its files."""
        await self._store.forget(job)
        await self._clear(job)

    async def results(self, owner: str, job: str, first: int, limit: int) -> tuple[ResultFile, ...]:
        """Files of a job from a number on.

        Raises:
            GoodnoiseError: NOT_FOUND; PRECONDITION for a job that has no results.
        """
        found = await self.get(owner, job)
        if found.state is not State.DONE:
            raise _without_results(found)
        return await self._store.results(job, first, limit)

    def result_path(self, job: str, file: ResultFile) -> Path:
        """Where a file of the results is."""
        return self._places.of(job).results / file.name

    async def _clear(self, job: str) -> None:
        self._changes.tell(job)
        await self._workers.end(job)
        await asyncio.to_thread(self._places.drop, job)

    async def _check_room(self, owner: str) -> None:
        quotas = self.quotas
        if self._arriving[owner] >= quotas.uploads:
            message = f"{quotas.uploads} uploads of yours arrive already, that is the most; wait for one"
            raise over("uploads", message, retry=5.0)
        await self._check_disk()

    async def _check_disk(self) -> None:
        held = await self._store.held() + sum(self._arriving_bytes.values())
        if held >= self.quotas.disk:
            message = "the service's share of the disk is full; delete jobs that you need no more, or wait"
            raise over("disk", message, retry=60.0)

    async def _new_intake(
        self, name: str, owner: str, order: Order, job: Job, dataset: Path | None
    ) -> Intake:
        async def arrived(size: int) -> None:
            before = self._arriving_bytes.get(name, 0)
            self._arriving_bytes[name] = size
            if before >> 24 != size >> 24:  # every 16 MiB
                await self._check_disk()

        async def keep(stored: StoredJob) -> tuple[StoredJob, bool]:
            kept = await self._store.put(stored, self.quotas)
            if kept.id == stored.id:
                self._counts.took(stored.images)
                self._workers.wake()
            elif kept.order != order.digest:
                await self.known(owner, order)  # raises
            return kept, kept.id != stored.id

        stored = StoredJob(name, owner, order.key, order.digest, str(job.recipe), order.dataset, 0, 0.0)
        intake = Intake(stored, order, job, dataset, places=self._places, quotas=self.quotas)
        await intake.begin(arrived=arrived, keep=keep, clock=self._clock)
        return intake


def _without_results(job: StoredJob) -> GoodnoiseError:
    advice = "hand it in again under another key" if job.state in _FILES_GONE else "wait until it is done"
    why = f" ({job.message})" if job.state is State.FAILED else ""
    return GoodnoiseError(
        Code.PRECONDITION, f"the job is {job.state.value}{why}: it has no results; {advice}"
    )
