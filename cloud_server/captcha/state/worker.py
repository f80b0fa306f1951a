"""One thread with one SQLite connection, which does what waits in one transaction.

Under load many steps share one commit, so a file serves thousands of steps a second, and the event loop never
waits for the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from shared.errors import Code, GoodnoiseError
from shared.wire.status import RETRY_AFTER

__all__ = ["SqliteWorker"]

T = TypeVar("T")
# Steps of one transaction: few enough that another process never waits long for the file.
_BATCH = 128


@dataclass(frozen=True)
class _Asked:
    step: Callable[[sqlite3.Connection], Any]
    forced: bool = False
    future: asyncio.Future[Any] | None = None  # None: nobody waits


@dataclass
class _Outcome:
    asked: _Asked
    value: Any = None
    error: BaseException | None = None


class SqliteWorker:
    """Runs steps in their order, each whole or not at all, and answers after the commit.

    Args:
        connection: in autocommit mode, made with `check_same_thread=False`; it is closed by `close`.
        synchronous: of commits that are not forced, as SQLite's pragma has it.
    """

    def __init__(self, connection: sqlite3.Connection, *, synchronous: str) -> None:
        self._connection = connection
        self._synchronous = synchronous
        connection.execute(f"PRAGMA synchronous={synchronous}")
        self._waiting: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="captcha-state", daemon=True)
        self._thread.start()

    async def run(self, step: Callable[[sqlite3.Connection], T], *, forced: bool = False) -> T:
        """What a step returns, once it is committed.

        A caller that stops waiting does not stop the step.

        Args:
            step: runs in the worker's thread, inside a transaction.
            forced: the commit is on the disk before the answer, with everything committed before.

        Raises:
            GoodnoiseError: UNAVAILABLE, the file is busy, full or broken; then the step left nothing.
        """
        if self._closed:
            raise GoodnoiseError(Code.UNAVAILABLE, "the store is closed", {RETRY_AFTER: "5.000"})
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.put(_Asked(step, forced, future))
        return await future

    def post(self, step: Callable[[sqlite3.Connection], object]) -> None:
        """Have a step done that nobody waits for."""
        if not self._closed:
            self._waiting.put(_Asked(step))

    async def close(self) -> None:
        """Ends when everything asked for before is done."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        going = True
        while going:
            batch, going = self._next_batch()
            if batch:
                _deliver(self._committed(batch))
        self._connection.close()

    def _next_batch(self) -> tuple[list[_Asked], bool]:
        first = self._waiting.get()
        if first is None:
            return [], False
        batch = [first]
        while len(batch) < _BATCH:
            try:
                asked = self._waiting.get_nowait()
            except queue.Empty:
                break
            if asked is None:
                return batch, False
            batch.append(asked)
        return batch, True

    def _committed(self, batch: list[_Asked]) -> list[_Outcome]:
        if not any(asked.forced for asked in batch):
            return self._transaction(batch)
        self._connection.execute("PRAGMA synchronous=FULL")
        try:
            return self._transaction(batch)
        finally:
            self._connection.execute(f"PRAGMA synchronous={self._synchronous}")

    def _transaction(self, batch: list[_Asked]) -> list[_Outcome]:
        outcomes = [_Outcome(asked) for asked in batch]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for outcome in outcomes:
                self._step(outcome)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            # No commit, no answer: of a step that may not last nobody hears that it was done.
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            for outcome in outcomes:
                outcome.error = _unavailable(error)
        return outcomes

    def _step(self, outcome: _Outcome) -> None:
        self._connection.execute("SAVEPOINT step")
        try:
            outcome.value = outcome.asked.step(self._connection)
        except Exception as error:
            self._connection.execute("ROLLBACK TO step")
            outcome.error = _unavailable(error) if isinstance(error, sqlite3.Error) else error
        self._connection.execute("RELEASE step")


def _deliver(outcomes: list[_Outcome]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
    for outcome in outcomes:
        if outcome.asked.future is not None:
            by_loop.setdefault(outcome.asked.future.get_loop(), []).append(outcome)
    for loop, own in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, own)


def _settle(outcomes: list[_Outcome]) -> None:
    for outcome in outcomes:
        future = outcome.asked.future
        if future is None or future.done():
            continue
        if outcome.error is not None:
            future.set_exception(outcome.error)
        else:
            future.set_result(outcome.value)


def _unavailable(error: Exception) -> GoodnoiseError:
    # SQLite's own words name tables and columns, no values.
    return GoodnoiseError(Code.UNAVAILABLE, f"the store cannot be used: {error}", {RETRY_AFTER: "1.000"})
