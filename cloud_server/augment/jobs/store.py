"""The jobs' state in one SQLite file, used by the server and, for owners, by the operator's commands.

A commit outlives the process, also `kill -9` (WAL, `synchronous=NORMAL`). What says that a job was taken
in is forced to the disk before the owner hears of it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from cloud_server.augment.jobs import tables
from cloud_server.augment.jobs.quotas import Quotas
from cloud_server.augment.jobs.records import Owner, ResultFile, State, StoredJob
from cloud_server.captcha.state.worker import SqliteWorker
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors

__all__ = ["JobStore"]

T = TypeVar("T")
_BUSY_SECONDS = 10.0


class JobStore:
    """Owners, jobs and lists of results. What the methods do is said in `tables`.

    Args:
        path: the file, made for its owner alone when there is none.

    Raises:
        GoodnoiseError: PERMISSION, EXHAUSTED or PRECONDITION, the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        with _usable(path):
            self._worker = SqliteWorker(_open(path), synchronous="NORMAL")

    async def owner_put(self, owner: Owner) -> bool:
        """Add an owner; False where the name is taken."""
        return await self._run(lambda c: tables.add_owner(c, owner), forced=True)

    async def owner_list(self) -> tuple[Owner, ...]:
        """All owners, by age."""
        return await self._run(tables.list_owners)

    async def owner_of_token(self, token: bytes) -> Owner | None:
        """The owner that has a token with this SHA-256."""
        return await self._run(lambda c: tables.owner_of_token(c, token))

    async def owner_token(self, name: str, token: bytes) -> bool:
        """Give an owner another token; False where there is no such owner."""
        return await self._run(lambda c: tables.replace_token(c, name, token), forced=True)

    async def owner_remove(self, name: str) -> bool:
        """Forget an owner; whether there was one."""
        return await self._run(lambda c: tables.remove_owner(c, name), forced=True)

    async def put(self, job: StoredJob, quotas: Quotas) -> StoredJob:
        """Add a job, or find the one that has its key.

        Raises:
            GoodnoiseError: EXHAUSTED, the owner has too many.
        """
        return await self._run(lambda c: tables.add_job(c, job, quotas), forced=True)

    async def get(self, owner: str | None, job: str) -> StoredJob | None:
        """A job of an owner, or of anyone."""
        return await self._run(lambda c: tables.get_job(c, owner, job))

    async def of_key(self, owner: str, key: str) -> StoredJob | None:
        """The job that an owner calls so."""
        return await self._run(lambda c: tables.job_of_key(c, owner, key))

    async def page(self, owner: str, after: StoredJob | None, limit: int) -> tuple[StoredJob, ...]:
        """Jobs of an owner, the newest first."""
        return await self._run(lambda c: tables.list_jobs(c, owner, after, limit))

    async def change(self, job: str, states: Sequence[State], **changes: object) -> StoredJob | None:
        """Change a job that is in one of these states; None where it is not."""
        return await self._run(lambda c: tables.change_job(c, job, states, **changes))

    async def done(self, job: str, results: Sequence[ResultFile], **changes: object) -> StoredJob | None:
        """Let a running job be done, with its results; None where it runs no more."""

        def step(connection: sqlite3.Connection) -> StoredJob | None:
            size = sum(file.size for file in results)
            done = {**changes, "state": State.DONE, "files": len(results), "size": size}
            found = tables.change_job(connection, job, (State.RUNNING,), **done)
            if found is not None:
                tables.add_results(connection, job, results)
            return found

        return await self._run(step, forced=True)

    async def take(self, now: float) -> StoredJob | None:
        """Take the job that is made next."""
        return await self._run(lambda c: tables.take_job(c, now))

    async def before(self, job: StoredJob) -> int:
        """About how many jobs go before a queued one."""
        return await self._run(lambda c: tables.before_in_queue(c, job))

    async def requeue(self) -> int:
        """Let jobs of an earlier server's workers wait again."""
        return await self._run(tables.requeue)

    async def forget(self, job: str) -> bool:
        """Forget a job; whether there was one."""
        return await self._run(lambda c: tables.forget_job(c, job), forced=True)

    async def ended_before(self, states: Sequence[State], moment: float) -> tuple[StoredJob, ...]:
        """Some of the jobs in these states whose files were to go before a moment."""
        return await self._run(lambda c: tables.ended_before(c, states, moment))

    async def orphans(self) -> tuple[StoredJob, ...]:
        """Some of the jobs whose owner was removed."""
        return await self._run(tables.orphans)

    async def ids(self) -> dict[str, State]:
        """All jobs and their states."""
        return await self._run(tables.ids)

    async def count(self) -> dict[State, int]:
        """How many jobs are in each state."""
        return await self._run(tables.count_states)

    async def held(self) -> int:
        """Bytes that all jobs hold."""
        return await self._run(tables.held_bytes)

    async def measure(self, job: str, held: int) -> None:
        """Note how many bytes a running job holds."""
        await self._run(lambda c: tables.measure_job(c, job, held))

    async def results(self, job: str, first: int, limit: int) -> tuple[ResultFile, ...]:
        """Files of a job from a number on."""
        return await self._run(lambda c: tables.list_results(c, job, first, limit))

    async def close(self) -> None:
        """Let go of the file, when what was asked for before is done."""
        await self._worker.close()

    async def _run(self, step: Callable[[sqlite3.Connection], T], *, forced: bool = False) -> T:
        return await self._worker.run(step, forced=forced)


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)  # SQLite gives the files beside it the same rights
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
        tables.prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        with storage_errors(path, setting="--data"):
            yield
    except sqlite3.Error as error:
        message = f"cannot use {path} for the state of jobs: {error}; name another folder with --data"
        raise GoodnoiseError(Code.PRECONDITION, message) from error
