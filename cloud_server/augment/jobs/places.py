"""Folders of the jobs: each is its owner's alone, and goes with its job."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import filelock

from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors

__all__ = ["JobFolder", "Places", "folder_bytes"]

_JOB = re.compile(r"gn_job_[A-Za-z0-9_-]{22}")


@dataclass(frozen=True)
class JobFolder:
    """What lies where in the folder of one job."""

    path: Path

    @property
    def images(self) -> Path:
        """Images that were sent, a folder a class."""
        return self.path / "in"

    @property
    def results(self) -> Path:
        """What the owner may fetch."""
        return self.path / "out"

    @property
    def work(self) -> Path:
        """What the runner needs to go on."""
        return self.path / "work"

    @property
    def order(self) -> Path:
        """What the worker is to do, JSON."""
        return self.path / "order.json"

    @property
    def listing(self) -> Path:
        """The worker's list of results, a JSON array a line."""
        return self.path / "results.jsonl"

    @property
    def uploads(self) -> Path:
        """Which image was sent with which name, CSV."""
        return self.path / "uploads.csv"

    def read_order(self) -> dict[str, object]:
        """What the worker is to do."""
        found: dict[str, object] = json.loads(self.order.read_bytes())
        return found


class Places:
    """The service's folder: state, uploads that arrive, jobs.

    Args:
        root: the folder, made for its owner alone when there is none.

    Raises:
        GoodnoiseError: PERMISSION, EXHAUSTED or PRECONDITION when it cannot be used.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        with storage_errors(root, setting="--data"):
            for folder in (self.root, self._incoming, self._jobs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.chmod(0o700)
        self._lock = filelock.FileLock(self.root / "serve.lock", mode=0o600)

    @property
    def state(self) -> Path:
        """The store's file."""
        return self.root / "state.sqlite"

    @property
    def _incoming(self) -> Path:
        return self.root / "incoming"

    @property
    def _jobs(self) -> Path:
        return self.root / "jobs"

    def claim(self) -> None:
        """Let no second server work here.

        Raises:
            GoodnoiseError: PRECONDITION, one does.
        """
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout as error:
            message = f"another server works in {self.root}; stop it, or name another folder with --data"
            raise GoodnoiseError(Code.PRECONDITION, message) from error

    def release(self) -> None:
        """Undo `claim`."""
        self._lock.release()

    def new_job(self) -> str:
        """A name for a job that nobody guesses."""
        return f"gn_job_{secrets.token_urlsafe(16)}"

    def stage(self, job: str) -> JobFolder:
        """A folder for an upload that arrives; it becomes the job's with `keep`."""
        folder = JobFolder(self._incoming / _checked(job))
        folder.path.mkdir(mode=0o700)
        return folder

    def keep(self, job: str) -> None:
        """Let an upload that is whole be the job's folder."""
        (self._incoming / _checked(job)).rename(self._jobs / job)

    def of(self, job: str) -> JobFolder:
        """The folder of a job."""
        return JobFolder(self._jobs / _checked(job))

    def drop(self, job: str) -> None:
        """Delete all files of a job and of its upload."""
        for parent in (self._incoming, self._jobs):
            shutil.rmtree(parent / _checked(job), ignore_errors=True)

    def drop_staged(self, job: str) -> None:
        """Delete what arrived of an upload that did not become a job."""
        shutil.rmtree(self._incoming / _checked(job), ignore_errors=True)

    def sweep(self, keep: Collection[str]) -> int:
        """Delete what an earlier server left: uploads that broke off, and folders of no job that has files.

        Args:
            keep: jobs whose folders stay.

        Returns:
            folders that were deleted.
        """
        left = [*self._incoming.iterdir(), *(f for f in self._jobs.iterdir() if f.name not in keep)]
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        return len(left)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # files come and go while a job runs
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118 - many files
    return total


def _checked(job: str) -> str:
    if not _JOB.fullmatch(job):
        raise ValueError(f"job {job[:64]!r} is none that was made here")
    return job
