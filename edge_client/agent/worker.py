"""One thread that does the heavy work, one job after another, and jobs that can be watched and stopped.

The event loop never waits for a network: it starts a job and reads its steps. Work calls `tell` between its
steps; after `stop` the next `tell` raises, so the work ends within a step.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
import threading
import traceback
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from shared.errors import Code, GoodnoiseError

__all__ = ["Job", "Step", "Tell", "Work", "Worker"]

T = TypeVar("T")
# Called by the work with what is being done, how much is done, of how much; raises when the work shall stop.
Tell = Callable[[str, int, int], None]
Work = Callable[[Tell], T]


@dataclass(frozen=True)
class Step:
    """How far a job is."""

    stage: str
    done: int
    total: int


class Job(Generic[T]):
    """One piece of work in the worker's queue. Made on the event loop's thread.

    `told` is the last step that the work told; `ended` is set when the worker has let go of it.
    """

    def __init__(self, work: Work[T], on_end: Callable[[Job[Any]], None]) -> None:
        self._work: Work[T] | None = work
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._future.add_done_callback(lambda _: self._on_loop(self._end, on_end))
        self._reason: GoodnoiseError | None = None
        self._step: Step | None = None
        self._over = False
        self.told: Step | None = None
        self.ended = threading.Event()

    def run(self) -> None:
        """Do the work; called once, by the worker's thread."""
        work, self._work = self._work, None
        if work is not None and self._future.set_running_or_notify_cancel():
            try:
                self._future.set_result(work(self._tell))
            except BaseException as error:  # whatever it is, the caller who waits for it gets it
                _forget_locals(error)
                self._future.set_exception(error)
        self.ended.set()

    async def steps(self) -> AsyncIterator[Step]:
        """Each step, until the job has ended; a reader who is slow sees the latest only."""
        # The worker is done a moment before the loop has heard its last step: the loop's own word counts.
        while not self._over or self._step is not None:
            await self._changed.wait()
            self._changed.clear()
            if self._step is not None:
                step, self._step = self._step, None
                yield step

    def result(self) -> T:
        """What the work returned, once the steps have ended; raises what the work raised."""
        try:
            return self._future.result(timeout=0)
        except concurrent.futures.CancelledError:
            raise self._reason or _stopped() from None

    def stop(self, reason: GoodnoiseError | None = None) -> None:
        """End the job before its time, with this reason; work that waits is never begun."""
        if self._reason is None:
            self._reason = reason or _stopped()
        if self._future.cancel():
            self._work = None  # holds a photo
            self.ended.set()

    def _tell(self, stage: str, done: int, total: int) -> None:
        if self._reason is not None:
            raise self._reason
        self.told = Step(stage, done, total)
        self._on_loop(self._post, self.told)

    def _post(self, step: Step) -> None:
        self._step = step
        self._changed.set()

    def _end(self, on_end: Callable[[Job[Any]], None]) -> None:
        on_end(self)
        self._over = True
        self._changed.set()

    def _on_loop(self, call: Callable[..., None], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # a loop that is closed has nobody left to tell
            self._loop.call_soon_threadsafe(call, *values)


class Worker:
    """A queue of jobs and the thread that does them.

    Args:
        name: the thread's.
    """

    def __init__(self, name: str) -> None:
        self._queue: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._closed: GoodnoiseError | None = None
        self.jobs: list[Job[Any]] = []
        # A daemon, so that an update which waits for a dead network does not hold the process.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def start(self, work: Work[T]) -> Job[T]:
        """Put work into the queue.

        Raises:
            GoodnoiseError: UNAVAILABLE when the worker is closed.
        """
        if self._closed is not None:
            raise self._closed
        job = Job(work, self.jobs.remove)
        self.jobs.append(job)
        self._queue.put(job)
        return job

    def close(self) -> None:
        """Stop every job and take no more."""
        self._closed = GoodnoiseError(
            Code.UNAVAILABLE, "the agent is stopping; start it again, then send again"
        )
        for job in reversed(self.jobs):  # the one that runs last, so that none is begun in between
            job.stop(self._closed)
        self._queue.put(None)

    def join(self, seconds: float) -> None:
        """Wait for the thread to end, after `close`."""
        self._thread.join(seconds)

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            job.run()
            del job  # holds a result


def _forget_locals(error: BaseException | None) -> None:
    """Let go of what the failed work held, photos among it; where it failed stays known."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _stopped() -> GoodnoiseError:
    return GoodnoiseError(Code.CANCELLED, "the call was cancelled")
