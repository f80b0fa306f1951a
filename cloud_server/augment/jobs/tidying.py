"""What is looked after while jobs wait and run: files that expire, owners that went, the disk's share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from cloud_server.augment.jobs.counts import JobCounts
from cloud_server.augment.jobs.desk import JobDesk
from cloud_server.augment.jobs.places import Places, folder_bytes
from cloud_server.augment.jobs.quotas import Quotas
from cloud_server.augment.jobs.records import ENDED, State
from cloud_server.augment.jobs.store import JobStore
from cloud_server.augment.jobs.workers import Workers
from cloud_server.logs import log
from shared.errors import Code, GoodnoiseError

__all__ = ["Tidying", "recover"]


async def recover(store: JobStore, places: Places) -> None:
    """What a server does first: jobs of the one before wait again, and what it left half-done is deleted."""
    requeued = await store.requeue()
    kept = {
        job
        for job, state in (await store.ids()).items()
        if state in (State.QUEUED, State.RUNNING, State.DONE)
    }
    swept = await asyncio.to_thread(places.sweep, kept)
    log("augment.recovered", jobs=requeued, folders_deleted=swept)


class Tidying:
    """Looks after jobs in turn.

    Args:
        store: of jobs.
        places: of their folders.
        desk: which deletes jobs.
        workers: whose jobs grow.
        quotas: lives and sizes.
        counts: metrics.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        store: JobStore,
        places: Places,
        desk: JobDesk,
        workers: Workers,
        quotas: Quotas,
        counts: JobCounts,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._places, self._desk, self._workers = store, places, desk, workers
        self._quotas, self._counts, self._clock = quotas, counts, clock

    @asynccontextmanager
    async def running(self, seconds: float) -> AsyncIterator[None]:
        """Look now and then, for as long as the block lasts."""
        task = asyncio.create_task(self._run(seconds))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def look(self) -> None:
        """Once.

        Raises:
            GoodnoiseError: UNAVAILABLE, the store cannot be used.
        """
        await self._expire()
        for job in await self._store.orphans():
            await self._desk.remove(job.id)
        await self._measure()
        self._counts.looked(await self._store.count(), await self._store.held())

    async def _run(self, seconds: float) -> None:
        while True:
            try:
                await self.look()
            except GoodnoiseError as error:
                log("augment.state", level=logging.ERROR, reason=error.message)
            await asyncio.sleep(seconds)

    async def _expire(self) -> None:
        now = self._clock()
        for job in await self._store.ended_before((State.DONE,), now):
            await self._store.change(job.id, (State.DONE,), state=State.EXPIRED, held=0, files=0, size=0)
            await asyncio.to_thread(self._places.drop, job.id)
        gone = now - self._quotas.remember_seconds
        for job in await self._store.ended_before(ENDED, gone):
            await self._desk.remove(job.id)

    async def _measure(self) -> None:
        """How much running jobs hold; who would fill the disk is ended."""
        for job in tuple(self._workers.at_work):
            held = await asyncio.to_thread(folder_bytes, self._places.of(job).path)
            await self._store.measure(job, held)
            if await self._store.held() > self._quotas.disk:
                await self._workers.refuse(
                    job, Code.EXHAUSTED, "the service's share of the disk is full; ask for fewer samples"
                )
