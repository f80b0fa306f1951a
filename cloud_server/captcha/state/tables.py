"""The tables of the SQLite store, and each step on them as a function inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from cloud_server.captcha.state.records import (
    Challenge,
    Pooled,
    Repeat,
    Sealed,
    Site,
    challenge_from_json,
    challenge_to_json,
    site_from_json,
    site_to_json,
)

__all__ = [
    "add_challenge",
    "add_image_challenge",
    "add_images",
    "add_token",
    "count_images",
    "drop_images",
    "get_challenge",
    "get_image",
    "get_report",
    "get_site",
    "list_sites",
    "needs_reserve",
    "prepare",
    "put_report",
    "put_site",
    "remove_site",
    "reserve",
    "site_of_secret",
    "take_challenge",
    "take_token",
    "tidy",
]

VERSION = 1
# Images that one forced write lets be taken, and that a crash of the machine costs at most.
RESERVED = 256
# Rows that one step of tidying removes.
_TIDIED = 256

# Images lie apart from what says who may have them, so that taking one moves none of its bytes.
_TABLES = """
CREATE TABLE pool (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, style TEXT NOT NULL,
    salt BLOB NOT NULL, seal BLOB NOT NULL, length INTEGER NOT NULL
);
CREATE TABLE images (seq INTEGER PRIMARY KEY, image BLOB NOT NULL);
CREATE TABLE challenges (
    key BLOB PRIMARY KEY, expires REAL NOT NULL, record BLOB NOT NULL,
    seq INTEGER, salt BLOB, seal BLOB, length INTEGER
) WITHOUT ROWID;
CREATE INDEX challenges_expire ON challenges (expires);
CREATE TABLE tokens (key BLOB PRIMARY KEY, expires REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX tokens_expire ON tokens (expires);
CREATE TABLE repeats (key BLOB PRIMARY KEY, expires REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX repeats_expire ON repeats (expires);
CREATE TABLE sites (key TEXT PRIMARY KEY, created REAL NOT NULL, record BLOB NOT NULL);
CREATE TABLE secrets (secret BLOB PRIMARY KEY, site TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""


def prepare(connection: sqlite3.Connection, *, start: str) -> None:
    """Make the tables, and drop what a crash of the machine may have brought back.

    Args:
        connection: in autocommit mode.
        start: names this start of the machine; empty where it is unknown, and every commit forced.

    Raises:
        sqlite3.DatabaseError: the file is none of this service, or is damaged.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        _make_tables(connection)
        _check_start(connection, start)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _make_tables(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    if version != 0:
        raise sqlite3.DatabaseError(f"its tables have version {version}, expected {VERSION}")
    # Not `executescript`, which would end the transaction.
    for statement in _TABLES.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version={VERSION}")


def _check_start(connection: sqlite3.Connection, start: str) -> None:
    before = _fact(connection, "start")
    if before is not None and before != start.encode():
        connection.execute("DELETE FROM pool WHERE seq <= ?", (_reserved(connection),))
        for table in ("challenges", "tokens", "repeats"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of this file
        connection.execute("DELETE FROM images WHERE seq NOT IN (SELECT seq FROM pool)")
    _put_fact(connection, "start", start.encode())


def add_images(connection: sqlite3.Connection, images: Sequence[Pooled]) -> None:
    """Add images behind those that wait."""
    for image in images:
        answer = image.answer
        added = connection.execute(
            "INSERT INTO pool (style, salt, seal, length) VALUES (?, ?, ?, ?)",
            (image.style, answer.salt, answer.seal, answer.length),
        )
        connection.execute("INSERT INTO images (seq, image) VALUES (?, ?)", (added.lastrowid, image.image))


def count_images(connection: sqlite3.Connection) -> int:
    """Images that wait."""
    (count,) = connection.execute("SELECT count(*) FROM pool").fetchone()
    return int(count)


def drop_images(connection: sqlite3.Connection, keep: str) -> int:
    """Remove waiting images of another style than `keep`; how many there were."""
    other = "SELECT seq FROM pool WHERE style <> ?"
    connection.execute(f"DELETE FROM images WHERE seq IN ({other})", (keep,))  # noqa: S608 - as above
    return connection.execute("DELETE FROM pool WHERE style <> ?", (keep,)).rowcount


def needs_reserve(connection: sqlite3.Connection) -> bool:
    """Whether images wait and none of them is reserved."""
    first = connection.execute("SELECT min(seq) FROM pool").fetchone()[0]
    return first is not None and first > _reserved(connection)


def reserve(connection: sqlite3.Connection) -> None:
    """Let the next block of images be taken, unless another has done so. The commit must be forced."""
    if needs_reserve(connection):
        block = "SELECT seq FROM pool ORDER BY seq LIMIT ?"
        query = f"SELECT max(seq) FROM ({block})"  # noqa: S608 - as above
        (last,) = connection.execute(query, (RESERVED,)).fetchone()
        _put_fact(connection, "reserved", str(last).encode())


def add_image_challenge(connection: sqlite3.Connection, challenge: Challenge) -> Challenge | None:
    """Keep a challenge with the oldest image; None when there is none."""
    taken = connection.execute(
        "DELETE FROM pool WHERE seq = (SELECT min(seq) FROM pool) RETURNING seq, salt, seal, length"
    ).fetchall()
    if not taken:
        return None
    ((seq, salt, seal, length),) = taken
    record = challenge_to_json(challenge)
    connection.execute(
        "INSERT INTO challenges VALUES (?, ?, ?, ?, ?, ?, ?)",
        (challenge.key, challenge.expires, record, seq, salt, seal, length),
    )
    return challenge_from_json(challenge.key, record, Sealed(salt, seal, length))


def add_challenge(connection: sqlite3.Connection, challenge: Challenge) -> None:
    """Keep a challenge that has no image."""
    connection.execute(
        "INSERT INTO challenges (key, expires, record) VALUES (?, ?, ?)",
        (challenge.key, challenge.expires, challenge_to_json(challenge)),
    )


def get_challenge(connection: sqlite3.Connection, key: bytes, now: float) -> Challenge | None:
    """A challenge that waits for its answer."""
    row = connection.execute(
        "SELECT record, salt, seal, length FROM challenges WHERE key = ? AND expires > ?", (key, now)
    ).fetchone()
    return None if row is None else _challenge(key, *row)


def get_image(connection: sqlite3.Connection, key: bytes, now: float) -> bytes | None:
    """The image of a challenge that waits for its answer."""
    row = connection.execute(
        "SELECT image FROM challenges JOIN images USING (seq) WHERE key = ? AND expires > ?", (key, now)
    ).fetchone()
    return None if row is None else bytes(row[0])


def take_challenge(connection: sqlite3.Connection, key: bytes, now: float) -> Challenge | None:
    """Spend a challenge, and forget its image."""
    rows = connection.execute(
        "DELETE FROM challenges WHERE key = ? AND expires > ? RETURNING record, salt, seal, length, seq",
        (key, now),
    ).fetchall()
    if not rows:
        return None
    ((*fields, seq),) = rows
    connection.execute("DELETE FROM images WHERE seq = ?", (seq,))
    return _challenge(key, *fields)


def add_token(connection: sqlite3.Connection, key: bytes, expires: float) -> None:
    """Let a token pass once."""
    connection.execute("INSERT INTO tokens VALUES (?, ?)", (key, expires))


def take_token(connection: sqlite3.Connection, key: bytes, now: float, repeat: Repeat | None) -> bool:
    """Spend a token; True again for who comes again with `repeat`."""
    if repeat is not None:
        query = "SELECT 1 FROM repeats WHERE key = ? AND expires > ?"
        if connection.execute(query, (repeat.key, now)).fetchone():
            return True
    taken = connection.execute("DELETE FROM tokens WHERE key = ? AND expires > ?", (key, now)).rowcount == 1
    if taken and repeat is not None:
        connection.execute("INSERT OR REPLACE INTO repeats VALUES (?, ?)", (repeat.key, repeat.expires))
    return taken


def put_site(connection: sqlite3.Connection, site: Site) -> None:
    """Add or replace a site."""
    connection.execute("DELETE FROM secrets WHERE site = ?", (site.key,))
    connection.execute(
        "INSERT OR REPLACE INTO sites VALUES (?, ?, ?)", (site.key, site.created, site_to_json(site))
    )
    connection.executemany("INSERT INTO secrets VALUES (?, ?)", ((each, site.key) for each in site.secrets))


def get_site(connection: sqlite3.Connection, key: str) -> Site | None:
    """The site of a public key."""
    row = connection.execute("SELECT record FROM sites WHERE key = ?", (key,)).fetchone()
    return None if row is None else site_from_json(row[0])


def site_of_secret(connection: sqlite3.Connection, secret: bytes) -> Site | None:
    """The site that has a secret of this hash."""
    row = connection.execute("SELECT site FROM secrets WHERE secret = ?", (secret,)).fetchone()
    return None if row is None else get_site(connection, row[0])


def list_sites(connection: sqlite3.Connection) -> tuple[Site, ...]:
    """All sites, by age."""
    rows = connection.execute("SELECT record FROM sites ORDER BY created, key").fetchall()
    return tuple(site_from_json(record) for (record,) in rows)


def remove_site(connection: sqlite3.Connection, key: str) -> bool:
    """Forget a site; whether there was one."""
    connection.execute("DELETE FROM secrets WHERE site = ?", (key,))
    return connection.execute("DELETE FROM sites WHERE key = ?", (key,)).rowcount == 1


def put_report(connection: sqlite3.Connection, content: bytes) -> None:
    """Keep the last report."""
    _put_fact(connection, "report", content)


def get_report(connection: sqlite3.Connection) -> bytes | None:
    """The last report."""
    return _fact(connection, "report")


def tidy(connection: sqlite3.Connection, now: float) -> None:
    """Forget some of what has expired."""
    rows = connection.execute(
        "DELETE FROM challenges WHERE key IN (SELECT key FROM challenges WHERE expires <= ? LIMIT ?)"
        " RETURNING seq",
        (now, _TIDIED),
    ).fetchall()
    connection.executemany("DELETE FROM images WHERE seq = ?", (row for row in rows if row[0] is not None))
    for table in ("tokens", "repeats"):
        old = f"SELECT key FROM {table} WHERE expires <= ? LIMIT ?"  # noqa: S608 - as above
        connection.execute(f"DELETE FROM {table} WHERE key IN ({old})", (now, _TIDIED))  # noqa: S608 - as above


def _challenge(
    key: bytes, record: bytes, salt: bytes | None, seal: bytes | None, length: int | None
) -> Challenge:
    sealed = None if salt is None or seal is None or length is None else Sealed(salt, seal, length)
    return challenge_from_json(key, record, sealed)


def _reserved(connection: sqlite3.Connection) -> int:
    return int(_fact(connection, "reserved") or b"0")


def _fact(connection: sqlite3.Connection, name: str) -> bytes | None:
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return None if row is None else bytes(row[0])


def _put_fact(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))
