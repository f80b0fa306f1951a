"""Workers: child processes that make the jobs that wait, one each, watched until they end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cloud_server.augment.jobs.changes import Changes
from cloud_server.augment.jobs.counts import JobCounts
from cloud_server.augment.jobs.places import JobFolder, Places, folder_bytes
from cloud_server.augment.jobs.quotas import Quotas
from cloud_server.augment.jobs.records import OPEN, ResultFile, State, StoredJob
from cloud_server.augment.jobs.store import JobStore
from cloud_server.augment.progress import Progress, Stage
from cloud_server.logs import log
from shared.errors import Code, GoodnoiseError

__all__ = ["COMMAND", "Workers"]

COMMAND = (sys.executable, "-W", "ignore", "-m", "cloud_server.augment.jobs.child")
# One thread of arithmetic each: more would not be faster for small images, and would change sums' last bits.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_IDLE_SECONDS = 5.0
_LINE_BYTES = 1 << 20
_SAID_SECONDS = 0.2


@dataclass
class _Heard:
    """What a worker said last."""

    end: dict[str, Any] = field(default_factory=dict)
    progress: Progress | None = None
    stored: float = 0.0
    made: int = 0
    late: bool = False


class Workers:
    """Takes jobs from the store and has them made.

    Args:
        store: of jobs.
        places: of their folders.
        quotas: limits.
        changes: told of each change.
        counts: metrics.
        count: workers at a time.
        nice: added to their priority number.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        store: JobStore,
        places: Places,
        quotas: Quotas,
        changes: Changes,
        counts: JobCounts,
        *,
        count: int = 1,
        nice: int = 10,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._places, self._quotas, self._changes = store, places, quotas, changes
        self._counts, self._count, self._nice, self._clock = counts, count, nice, clock
        self._wake = asyncio.Event()
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._idle: dict[str, asyncio.Event] = {}

    @property
    def at_work(self) -> Mapping[str, int]:
        """Process ids of the workers by job."""
        return {job: child.pid for job, child in self._children.items()}

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Work for as long as the block lasts. Jobs that are not ended then wait for the next server."""
        lanes = [asyncio.create_task(self._lane()) for _ in range(self._count)]
        try:
            yield
        finally:
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)

    def wake(self) -> None:
        """A job waits."""
        self._wake.set()

    async def end(self, job: str) -> None:
        """End the worker of a job, if there is one; its files may be deleted afterwards."""
        idle = self._idle.get(job)
        if idle is None:
            return
        child = self._children.get(job)
        if child is not None:
            _kill(child)
        await idle.wait()

    async def refuse(self, job: str, code: Code, message: str) -> None:
        """Let a running job fail."""
        found = await self._store.get(None, job)
        if found is not None:
            await self._fail(found, code, message)
        await self.end(job)
        await asyncio.to_thread(self._places.drop, job)

    async def _lane(self) -> None:
        while True:
            try:
                self._wake.clear()
                job = await self._store.take(self._clock())
            except GoodnoiseError as error:
                log("augment.queue", level=logging.ERROR, reason=error.message)
                job = None
            if job is not None:
                await self._work(job)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _IDLE_SECONDS)

    async def _work(self, job: StoredJob) -> None:
        self._changes.tell(job.id)
        self._idle[job.id] = asyncio.Event()
        heard = _Heard(made=0 if job.progress is None else job.progress.made)
        try:
            code = await self._run(job, heard)
            await self._ended(job, heard, code)
        except GoodnoiseError as error:
            log("augment.store", level=logging.ERROR, reason=error.message)
            await asyncio.sleep(_IDLE_SECONDS)
        finally:
            self._idle.pop(job.id).set()
            self._changes.tell(job.id)

    async def _run(self, job: StoredJob, heard: _Heard) -> int:
        folder = self._places.of(job.id)
        child = await asyncio.create_subprocess_exec(
            *COMMAND,
            str(folder.path),
            "--nice",
            str(self._nice),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **_ENVIRONMENT},
            limit=_LINE_BYTES,
        )
        self._children[job.id] = child
        log("augment.worker_began", job=job.id, pid=child.pid)
        listening = asyncio.create_task(self._listen(job, child, heard))
        try:
            # Cancelled before its worker was there: the store knows it, and nobody could end the worker.
            known = await self._store.get(None, job.id)
            if known is None or known.state is not State.RUNNING:
                _kill(child)
            await asyncio.wait_for(child.wait(), self._quotas.job_seconds)
        except TimeoutError:
            heard.late = True
        finally:
            _kill(child)
            await asyncio.shield(child.wait())
            del self._children[job.id]
            await asyncio.shield(asyncio.gather(listening, return_exceptions=True))
        return child.returncode or 0

    async def _listen(self, job: StoredJob, child: asyncio.subprocess.Process, heard: _Heard) -> None:
        """Hear a worker out, and keep what it says of its progress, not more often than anyone would look."""
        if child.stdout is None:
            return
        while line := await child.stdout.readline():
            words = json.loads(line)
            if "end" in words:
                heard.end = words
                continue
            stage, *counts = words["progress"]
            heard.progress = Progress(Stage(stage), *counts)
            if time.monotonic() - heard.stored >= _SAID_SECONDS:
                await self._keep(job, heard)
        await self._keep(job, heard)

    async def _keep(self, job: StoredJob, heard: _Heard) -> None:
        progress = heard.progress
        if progress is None:
            return
        heard.stored = time.monotonic()
        if await self._store.change(job.id, (State.RUNNING,), progress=progress) is not None:
            self._changes.tell(job.id)
        self._counts.made(progress.made - heard.made)
        heard.made = max(heard.made, progress.made)

    async def _ended(self, job: StoredJob, heard: _Heard, code: int) -> None:
        end = heard.end.get("end")
        log("augment.worker_ended", job=job.id, code=code, end=end)
        if heard.late:
            hours = self._quotas.job_seconds / 3600
            await self._fail(job, Code.DEADLINE, f"it took more than {hours:g} hours; ask for fewer samples")
        elif end == "done" and code == 0:
            await self._done(job)
        elif end == "failed":
            await self._fail(job, Code(heard.end["code"]), str(heard.end["message"]))
        else:
            await self._crashed(job, str(heard.end.get("message") or _of_signal(code)))

    async def _done(self, job: StoredJob) -> None:
        folder = self._places.of(job.id)
        files = await asyncio.to_thread(_read_list, folder)
        held = await asyncio.to_thread(folder_bytes, folder.path)
        now = self._clock()
        expires = now + self._quotas.keep_seconds
        found = await self._store.done(job.id, files, ended=now, expires=expires, held=held)
        if found is not None:
            self._counts.ended(State.DONE, now - (found.started or now))

    async def _crashed(self, job: StoredJob, why: str) -> None:
        known = await self._store.get(None, job.id)
        if known is None or known.state is not State.RUNNING:
            return  # it was cancelled, or deleted
        self._counts.crashed()
        crashes = known.crashes + 1
        if crashes >= self._quotas.crashes:
            reason = (
                f"its worker died {crashes} times, the last time because {why}; if memory ran out, use "
                "smaller images, 'resize' or a smaller 'shard', else report it with the time of day"
            )
            await self._fail(job, Code.INTERNAL, reason, crashes=crashes)
        else:
            await self._store.change(job.id, (State.RUNNING,), state=State.QUEUED, crashes=crashes)

    async def _fail(self, job: StoredJob, code: Code, message: str, **changes: object) -> None:
        now = self._clock()
        found = await self._store.change(
            job.id,
            OPEN,
            state=State.FAILED,
            code=code.value,
            message=message,
            ended=now,
            expires=now + self._quotas.keep_seconds,
            held=0,
            **changes,
        )
        if found is not None:
            self._counts.ended(State.FAILED, now - (found.started or now))
            await asyncio.to_thread(self._places.drop, job.id)


def _read_list(folder: JobFolder) -> list[ResultFile]:
    with folder.listing.open(encoding="utf-8") as listing:
        return [ResultFile(*json.loads(line)) for line in listing]


def _kill(child: asyncio.subprocess.Process) -> None:
    """At once: a worker writes its files whole or not at all, and who comes next begins where it was."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.kill()


def _of_signal(code: int) -> str:
    if code == -signal.SIGKILL:
        return "the system killed it (signal 9), most often for lack of memory"
    return f"of signal {-code}" if code < 0 else f"it ended with code {code} and no word"
