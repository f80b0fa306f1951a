"""The tables of the jobs' store, and each step on them as a function inside a transaction."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterable, Sequence

from cloud_server.augment.jobs.quotas import Quotas, over
from cloud_server.augment.jobs.records import Owner, ResultFile, State, StoredJob
from cloud_server.augment.progress import Progress, Stage

__all__ = [
    "add_job",
    "add_owner",
    "add_results",
    "before_in_queue",
    "change_job",
    "count_states",
    "ended_before",
    "forget_job",
    "get_job",
    "held_bytes",
    "ids",
    "job_of_key",
    "list_jobs",
    "list_owners",
    "list_results",
    "measure_job",
    "orphans",
    "owner_of_token",
    "prepare",
    "remove_owner",
    "replace_token",
    "requeue",
    "take_job",
]

VERSION = 1
_FIELDS = tuple(field.name for field in dataclasses.fields(StoredJob))
_COLUMNS = ", ".join(f'"{name}"' for name in _FIELDS)
_IS_OPEN = "state IN ('queued', 'running')"
_TABLES = """
CREATE TABLE owners (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, token BLOB NOT NULL UNIQUE, created REAL NOT NULL
);
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, key TEXT NOT NULL, "order" TEXT NOT NULL, recipe TEXT NOT NULL,
    dataset TEXT NOT NULL, images INTEGER NOT NULL, created REAL NOT NULL, state TEXT NOT NULL,
    revision INTEGER NOT NULL, progress TEXT, code TEXT NOT NULL, message TEXT NOT NULL,
    crashes INTEGER NOT NULL, started REAL, ended REAL, expires REAL, held INTEGER NOT NULL,
    files INTEGER NOT NULL, size INTEGER NOT NULL, UNIQUE (owner, key)
);
CREATE INDEX jobs_of_owner ON jobs (owner, created, id);
CREATE INDEX jobs_by_state ON jobs (state, created);
CREATE TABLE results (
    job TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL,
    sha256 TEXT NOT NULL, PRIMARY KEY (job, number)
) WITHOUT ROWID
"""


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables where there are none.

    Raises:
        sqlite3.DatabaseError: the file is none of this service, or is damaged.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        _make_tables(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _make_tables(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (0, VERSION):
        raise sqlite3.DatabaseError(f"its tables have version {version}, expected {VERSION}")
    # Not `executescript`, which would end the transaction.
    for statement in _TABLES.split(";") if version == 0 else ():
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version={VERSION}")


# ---- owners


def add_owner(connection: sqlite3.Connection, owner: Owner) -> bool:
    """Add an owner; False where the name is taken."""
    row = dataclasses.astuple(owner)
    return connection.execute("INSERT OR IGNORE INTO owners VALUES (?, ?, ?, ?)", row).rowcount == 1


def list_owners(connection: sqlite3.Connection) -> tuple[Owner, ...]:
    """All owners, by age."""
    return tuple(Owner(*row) for row in connection.execute("SELECT * FROM owners ORDER BY created, id"))


def owner_of_token(connection: sqlite3.Connection, token: bytes) -> Owner | None:
    """The owner that has a token of this hash."""
    row = connection.execute("SELECT * FROM owners WHERE token = ?", (token,)).fetchone()
    return None if row is None else Owner(*row)


def replace_token(connection: sqlite3.Connection, name: str, token: bytes) -> bool:
    """Give an owner another token; False where there is no such owner."""
    return connection.execute("UPDATE owners SET token = ? WHERE name = ?", (token, name)).rowcount == 1


def remove_owner(connection: sqlite3.Connection, name: str) -> bool:
    """Forget an owner; whether there was one. Their jobs are orphans from then on."""
    return connection.execute("DELETE FROM owners WHERE name = ?", (name,)).rowcount == 1


# ---- jobs


def add_job(connection: sqlite3.Connection, job: StoredJob, quotas: Quotas) -> StoredJob:
    """Add a job, or find the one that has its key.

    Raises:
        GoodnoiseError: EXHAUSTED, the owner has too many.
    """
    known = job_of_key(connection, job.owner, job.key)
    if known is not None:
        return known
    query = f"SELECT count(*), count(*) FILTER (WHERE {_IS_OPEN}) FROM jobs WHERE owner = ?"  # noqa: S608 - constants
    everything, opened = connection.execute(query, (job.owner,)).fetchone()
    if opened >= quotas.open_jobs:
        wait = (
            f"{opened} jobs of yours wait or run, at most {quotas.open_jobs} may; wait for one, or cancel one"
        )
        raise over("open_jobs", wait, retry=30.0)
    if everything >= quotas.jobs:
        raise over("jobs", f"{everything} jobs of yours are kept, at most {quotas.jobs} may be; delete some")
    marks = ", ".join("?" * len(_FIELDS))
    connection.execute(f"INSERT INTO jobs ({_COLUMNS}) VALUES ({marks})", _row(job))  # noqa: S608 - as above
    return job


def get_job(connection: sqlite3.Connection, owner: str | None, job: str) -> StoredJob | None:
    """A job of an owner; of anyone where `owner` is None, for the service itself."""
    query = f"SELECT {_COLUMNS} FROM jobs WHERE id = ? AND ? IN (owner, '')"  # noqa: S608 - as above
    row = connection.execute(query, (job, owner or "")).fetchone()
    return None if row is None else _job(row)


def job_of_key(connection: sqlite3.Connection, owner: str, key: str) -> StoredJob | None:
    """The job that an owner calls so."""
    query = f"SELECT {_COLUMNS} FROM jobs WHERE owner = ? AND key = ?"  # noqa: S608 - as above
    row = connection.execute(query, (owner, key)).fetchone()
    return None if row is None else _job(row)


def list_jobs(
    connection: sqlite3.Connection, owner: str, after: StoredJob | None, limit: int
) -> tuple[StoredJob, ...]:
    """Jobs of an owner, the newest first, behind one of them."""
    place = (float("inf"), "") if after is None else (after.created, after.id)
    older = "owner = ? AND (created, id) < (?, ?) ORDER BY created DESC, id DESC LIMIT ?"
    query = f"SELECT {_COLUMNS} FROM jobs WHERE {older}"  # noqa: S608 - as above
    return tuple(_job(row) for row in connection.execute(query, (owner, *place, limit)))


def change_job(
    connection: sqlite3.Connection, job: str, states: Sequence[State], **changes: object
) -> StoredJob | None:
    """Change a job that is in one of these states; None where it is in another, or is not."""
    before = get_job(connection, None, job)
    if before is None or before.state not in states:
        return None
    after = dataclasses.replace(before, revision=before.revision + 1, **changes)  # type: ignore[arg-type]
    sets = ", ".join(f'"{name}" = ?' for name in _FIELDS)
    connection.execute(f"UPDATE jobs SET {sets} WHERE id = ?", (*_row(after), job))  # noqa: S608 - as above
    return after


def take_job(connection: sqlite3.Connection, now: float) -> StoredJob | None:
    """The job that is made next: one that was begun, else of the owner who was served longest ago."""
    query = """
        SELECT id FROM jobs AS job WHERE state = 'queued' ORDER BY started IS NULL, started,
        (SELECT max(started) FROM jobs WHERE owner = job.owner) ASC NULLS FIRST, created, id LIMIT 1
    """
    row = connection.execute(query).fetchone()
    if row is None:
        return None
    found = get_job(connection, None, row[0])
    started = found.started if found is not None and found.started is not None else now
    return change_job(connection, row[0], (State.QUEUED,), state=State.RUNNING, started=started)


def measure_job(connection: sqlite3.Connection, job: str, held: int) -> None:
    """Note how many bytes a running job holds; its watchers need not hear of that."""
    connection.execute("UPDATE jobs SET held = ? WHERE id = ? AND state = 'running'", (held, job))


def before_in_queue(connection: sqlite3.Connection, job: StoredJob) -> int:
    """About how many jobs go before a queued one."""
    query = "SELECT count(*) FROM jobs WHERE state = 'queued' AND (started IS NOT NULL OR created < ?)"
    return int(connection.execute(query, (job.created,)).fetchone()[0])


def requeue(connection: sqlite3.Connection) -> int:
    """Let jobs whose worker went with an earlier server wait again; how many there were."""
    query = "UPDATE jobs SET state = 'queued', revision = revision + 1 WHERE state = 'running'"
    return connection.execute(query).rowcount


def forget_job(connection: sqlite3.Connection, job: str) -> bool:
    """Forget a job and its list of results; whether there was one."""
    connection.execute("DELETE FROM results WHERE job = ?", (job,))
    return connection.execute("DELETE FROM jobs WHERE id = ?", (job,)).rowcount == 1


def ended_before(
    connection: sqlite3.Connection, states: Sequence[State], moment: float
) -> tuple[StoredJob, ...]:
    """Some of the jobs in these states whose files were to go before a moment."""
    marks = ", ".join("?" * len(states))
    query = f"SELECT {_COLUMNS} FROM jobs WHERE state IN ({marks}) AND expires <= ? LIMIT 64"  # noqa: S608 - as above
    return tuple(_job(row) for row in connection.execute(query, (*states, moment)))


def orphans(connection: sqlite3.Connection) -> tuple[StoredJob, ...]:
    """Some of the jobs whose owner was removed."""
    query = f"SELECT {_COLUMNS} FROM jobs WHERE owner NOT IN (SELECT id FROM owners) LIMIT 64"  # noqa: S608 - as above
    return tuple(_job(row) for row in connection.execute(query))


def ids(connection: sqlite3.Connection) -> dict[str, State]:
    """All jobs and their states."""
    return {row[0]: State(row[1]) for row in connection.execute("SELECT id, state FROM jobs")}


def count_states(connection: sqlite3.Connection) -> dict[State, int]:
    """How many jobs are in each state."""
    found = dict(connection.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
    return {state: int(found.get(state.value, 0)) for state in State}


def held_bytes(connection: sqlite3.Connection) -> int:
    """Bytes that the folders of all jobs hold, as last measured."""
    return int(connection.execute("SELECT coalesce(sum(held), 0) FROM jobs").fetchone()[0])


# ---- results


def add_results(connection: sqlite3.Connection, job: str, files: Iterable[ResultFile]) -> None:
    """Keep the list of a job's results, instead of another."""
    connection.execute("DELETE FROM results WHERE job = ?", (job,))
    rows = ((job, *dataclasses.astuple(file)) for file in files)
    connection.executemany("INSERT INTO results VALUES (?, ?, ?, ?, ?)", rows)


def list_results(connection: sqlite3.Connection, job: str, first: int, limit: int) -> tuple[ResultFile, ...]:
    """Files of a job from a number on."""
    query = (
        "SELECT number, name, size, sha256 FROM results WHERE job = ? AND number >= ? ORDER BY number LIMIT ?"
    )
    # Beyond 63 bits SQLite knows no numbers, and there are no files.
    return tuple(ResultFile(*row) for row in connection.execute(query, (job, min(first, 2**62), limit)))


def _row(job: StoredJob) -> tuple[object, ...]:
    values = {field: getattr(job, field) for field in _FIELDS}
    progress = job.progress
    values["state"] = job.state.value
    values["progress"] = None if progress is None else json.dumps(dataclasses.astuple(progress))
    return tuple(values.values())


def _job(row: Sequence[object]) -> StoredJob:
    values = dict(zip(_FIELDS, row, strict=True))
    text = values["progress"]
    if isinstance(text, str):
        stage, *counts = json.loads(text)
        values["progress"] = Progress(Stage(stage), *counts)
    values["state"] = State(str(values["state"]))
    return StoredJob(**values)  # type: ignore[arg-type]
