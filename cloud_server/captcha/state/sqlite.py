"""State in one SQLite file that several processes of one machine share.

What lasts, and why no step waits for the disk: the file is in WAL mode with `synchronous=NORMAL`, so a commit
outlives the process (also `kill -9`), and only a crash of the machine can take the last ones back. A token,
challenge or image that comes back would pass twice, so the file remembers under which start of the machine it
was last open. After another start no token and no challenge of before is good, and the images that may have
been taken are dropped: takers reserve images in blocks, and only the reservation is forced to disk. That is
one forced write for 256 images. Where the machine's start cannot be known every commit is forced
(`synchronous=FULL`).
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cloud_server.captcha.state import tables
from cloud_server.captcha.state.records import Challenge, Pooled, Repeat, Site
from cloud_server.captcha.state.worker import SqliteWorker
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors

__all__ = ["SqliteStore", "machine_start"]

_BUSY_SECONDS = 10.0
# One step holds the file for all processes; so many images of some kilobytes are written in milliseconds.
_PUT = 64
_TIDY_SECONDS = 1.0
_START = Path("/proc/sys/kernel/random/boot_id")


class SqliteStore:
    """`Store` over a file, which is made, for its owner alone, when there is none.

    Args:
        path: the file; two more of its name with `-wal` and `-shm` lie beside it.
        start: names this start of the machine; None for what the system says, empty where it is unknown.

    Raises:
        GoodnoiseError: PERMISSION, EXHAUSTED or PRECONDITION, the file cannot be used.
    """

    def __init__(self, path: Path, *, start: str | None = None) -> None:
        start = machine_start() if start is None else start
        with _usable(path):
            self._worker = SqliteWorker(_open(path, start), synchronous="NORMAL" if start else "FULL")
        self._tidy_at = time.monotonic() + _TIDY_SECONDS

    async def pool_put(self, images: Sequence[Pooled]) -> None:
        """Add images behind those that wait; in parts, so that nobody waits long."""
        for begin in range(0, len(images), _PUT):
            await self._worker.run(_adding(images[begin : begin + _PUT]))

    async def pool_depth(self) -> int:
        """Images that wait."""
        return await self._worker.run(tables.count_images)

    async def pool_drop(self, *, keep: str) -> int:
        """Remove the images that wait and have another style than `keep`; how many there were."""
        return await self._worker.run(lambda c: tables.drop_images(c, keep))

    async def pool_take(self, challenge: Challenge) -> Challenge | None:
        """Keep a challenge with the oldest image; None when no image waits."""
        self._tidy(challenge.created)
        while True:
            reserved, taken = await self._worker.run(lambda c: _take_image(c, challenge))
            if reserved:
                return taken
            await self._worker.run(tables.reserve, forced=True)

    async def challenge_put(self, challenge: Challenge) -> None:
        """Keep a challenge that has no image."""
        self._tidy(challenge.created)
        await self._worker.run(lambda c: tables.add_challenge(c, challenge))

    async def challenge_get(self, key: bytes, *, now: float) -> Challenge | None:
        """A challenge that is neither spent nor expired."""
        return await self._worker.run(lambda c: tables.get_challenge(c, key, now))

    async def challenge_image(self, key: bytes, *, now: float) -> bytes | None:
        """The image of such a challenge."""
        return await self._worker.run(lambda c: tables.get_image(c, key, now))

    async def challenge_take(self, key: bytes, *, now: float) -> Challenge | None:
        """Spend such a challenge: of all callers one gets it, and its image is gone."""
        return await self._worker.run(lambda c: tables.take_challenge(c, key, now))

    async def token_put(self, key: bytes, *, expires: float, now: float) -> None:
        """Let a token pass once until `expires`."""
        self._tidy(now)
        await self._worker.run(lambda c: tables.add_token(c, key, expires))

    async def token_take(self, key: bytes, *, now: float, repeat: Repeat | None = None) -> bool:
        """Spend a token: of all callers one gets True, and those who come again with `repeat`."""
        return await self._worker.run(lambda c: tables.take_token(c, key, now, repeat))

    async def site_put(self, site: Site) -> None:
        """Add a site, or replace the one of the same key."""
        await self._worker.run(lambda c: tables.put_site(c, site))

    async def site_get(self, key: str) -> Site | None:
        """The site of a public key."""
        return await self._worker.run(lambda c: tables.get_site(c, key))

    async def site_of_secret(self, secret: bytes) -> Site | None:
        """The site that has a secret with this SHA-256."""
        return await self._worker.run(lambda c: tables.site_of_secret(c, secret))

    async def site_list(self) -> tuple[Site, ...]:
        """All sites, by age."""
        return await self._worker.run(tables.list_sites)

    async def site_remove(self, key: str) -> bool:
        """Forget a site; whether there was one."""
        return await self._worker.run(lambda c: tables.remove_site(c, key))

    async def report_put(self, content: bytes) -> None:
        """Keep the last report, JSON."""
        await self._worker.run(lambda c: tables.put_report(c, content))

    async def report_get(self) -> bytes | None:
        """The last report."""
        return await self._worker.run(tables.get_report)

    async def close(self) -> None:
        """Let go of the file, when what was asked for before is done."""
        await self._worker.close()

    def _tidy(self, now: float) -> None:
        if time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + _TIDY_SECONDS
            self._worker.post(lambda c: tables.tidy(c, now))


def _take_image(connection: sqlite3.Connection, challenge: Challenge) -> tuple[bool, Challenge | None]:
    """Whether a reserved image, or none at all, was found, and the challenge that got it."""
    if tables.needs_reserve(connection):
        return False, None
    return True, tables.add_image_challenge(connection, challenge)


def _adding(images: Sequence[Pooled]) -> Callable[[sqlite3.Connection], None]:
    return lambda connection: tables.add_images(connection, images)


def machine_start() -> str:
    """A name of this start of the machine; empty where the system gives none."""
    try:
        return _START.read_text().strip()
    except OSError:
        return ""


def _open(path: Path, start: str) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    # SQLite gives the files beside it the same rights.
    path.touch(mode=0o600)
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
        connection.execute("PRAGMA synchronous=FULL")
        tables.prepare(connection, start=start)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        with storage_errors(path, setting="--store"):
            yield
    except sqlite3.Error as error:
        message = f"cannot use {path} as the CAPTCHA's state: {error}; name another file with --store"
        raise GoodnoiseError(Code.PRECONDITION, message) from error
