"""What a device has told clouds about its photos: a privacy budget for each photo and each day.

    home/hints.key      32 random bytes, made on this device
    home/hints.sqlite   what was told of which photo, and when

A photo is known by an HMAC of its pixels' sha256 under the key; no name, path, time of the photo or pixel is
kept. Nothing here is ever sent.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors
from shared.levels.cluster import CLUSTER_EPSILON
from shared.levels.labels import EPSILON_A_DAY, SIGNS_A_DAY, SKETCH_CALL_EPSILON

__all__ = ["Ledger", "SpentError"]

_DAY = 24 * 60 * 60
_KEY_BYTES = 32
_WAIT = 30.0  # seconds for another process that writes
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS told (photo BLOB, level TEXT, at INTEGER, epsilon REAL, answer INTEGER, "
    "PRIMARY KEY (photo, level)) WITHOUT ROWID"
)


class SpentError(GoodnoiseError):
    """Nothing may be told: a photo's or a day's budget is spent. The code is EXHAUSTED."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.EXHAUSTED, f"{message}; nothing was sent")


class Ledger:
    """The ledger of one device. Several processes may use it at once.

    Args:
        home: the device's folder.
        now: seconds since 1970.
    """

    def __init__(self, home: Path, *, now: Callable[[], float] = time.time) -> None:
        self._home = home
        self._now = now

    def photo(self, pixels: npt.NDArray[np.uint8]) -> bytes:
        """What a photo, uint8 H W 3, is known by here."""
        digest = hmac.new(self._key(), digestmod="sha256")
        digest.update(repr(pixels.shape).encode())
        digest.update(np.ascontiguousarray(pixels).data)
        return digest.digest()

    def cluster(self, photo: bytes, draw: Callable[[], int]) -> int:
        """The number that was told of a photo, or a new one, which is told from now on.

        Args:
            photo: see `photo`.
            draw: gives the number, after randomised response; called once in the photo's life.

        Raises:
            SpentError: when the day's budget is spent.
        """
        with self._transaction() as book:
            row = book.execute("SELECT answer FROM told WHERE photo = ? AND level = 'cluster'", (photo,))
            found = row.fetchone()
            if found is not None:
                return int(found[0])
            self._spend(book, CLUSTER_EPSILON)
            number = draw()
            self._note(book, photo, "cluster", CLUSTER_EPSILON, number)
        return number

    def sketch(self, photo: bytes) -> None:
        """Spend what one sketch of a photo costs, before it is sent.

        Raises:
            SpentError: when the photo's or the day's budget is spent.
        """
        with self._transaction() as book:
            self._once(book, photo, "sketch")
            self._spend(book, SKETCH_CALL_EPSILON)
            self._note(book, photo, "sketch", SKETCH_CALL_EPSILON)

    def sign(self, photo: bytes) -> None:
        """Count one map of signs of a photo, before it is sent. It has no epsilon: it is the truth.

        Raises:
            SpentError: when one was sent of this photo, or too many within a day.
        """
        with self._transaction() as book:
            self._once(book, photo, "sign")
            count = book.execute(
                "SELECT COUNT(*) FROM told WHERE level = 'sign' AND at > ?", (self._yesterday(),)
            ).fetchone()[0]
            if count >= SIGNS_A_DAY:
                raise SpentError(
                    f"{count} maps of signs left this device within 24 hours, which is the limit"
                )
            self._note(book, photo, "sign", 0.0)

    def _once(self, book: sqlite3.Connection, photo: bytes, level: str) -> None:
        if book.execute("SELECT 1 FROM told WHERE photo = ? AND level = ?", (photo, level)).fetchone():
            raise SpentError(
                f"this photo's privacy budget for level {level!r} is spent: it was asked about before"
            )

    def _spend(self, book: sqlite3.Connection, epsilon: float) -> None:
        spent = book.execute(
            "SELECT COALESCE(SUM(epsilon), 0) FROM told WHERE at > ?", (self._yesterday(),)
        ).fetchone()[0]
        if spent + epsilon > EPSILON_A_DAY + 1e-9:
            raise SpentError(
                f"the day's privacy budget is spent: epsilon {spent:g} of {EPSILON_A_DAY:g} within 24 hours"
            )

    def _note(
        self, book: sqlite3.Connection, photo: bytes, level: str, epsilon: float, answer: int | None = None
    ) -> None:
        row = (photo, level, int(self._now()), epsilon, answer)
        book.execute("INSERT INTO told VALUES (?, ?, ?, ?, ?)", row)

    def _yesterday(self) -> int:
        # What seems to lie in the future, after a clock was set back, counts as of today.
        return int(self._now()) - _DAY

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        path = self._home / "hints.sqlite"
        try:
            self._private(path)
            with contextlib.closing(sqlite3.connect(path, timeout=_WAIT, isolation_level=None)) as book:
                book.execute(_SCHEMA)
                book.execute("BEGIN IMMEDIATE")
                try:
                    yield book
                except BaseException:
                    book.execute("ROLLBACK")
                    raise
                book.execute("COMMIT")
        except sqlite3.Error as error:
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"the privacy ledger {path} cannot be used ({error}), so nothing is told; if it is damaged, "
                "remove it",
            ) from error

    def _key(self) -> bytes:
        path = self._home / "hints.key"
        self._private(path, secrets.token_bytes(_KEY_BYTES))
        with storage_errors(self._home, setting="GOODNOISE_HOME"):
            key = path.read_bytes()
        if len(key) != _KEY_BYTES:
            raise GoodnoiseError(
                Code.PRECONDITION, f"{path} is damaged, so nothing is told; remove it and hints.sqlite"
            )
        return key

    def _private(self, path: Path, content: bytes = b"") -> None:
        """A file that only its owner may read, made whole where it is missing."""
        with storage_errors(self._home, setting="GOODNOISE_HOME"):
            self._home.mkdir(parents=True, exist_ok=True)
            if path.exists():
                return
            scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            number = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(number, "wb") as file:
                file.write(content)
            with contextlib.suppress(FileExistsError):
                os.link(scratch, path)  # unlike a rename, it never replaces what another process made
            scratch.unlink()
