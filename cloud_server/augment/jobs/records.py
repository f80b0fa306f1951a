"""Owners, jobs and results as the store keeps them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from cloud_server.augment.progress import Progress

__all__ = ["ENDED", "OPEN", "Order", "Owner", "ResultFile", "State", "StoredJob"]


class State(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # its files are gone; that it was there is remembered for a while


OPEN = (State.QUEUED, State.RUNNING)
ENDED = (State.DONE, State.FAILED, State.CANCELLED, State.EXPIRED)


@dataclass(frozen=True)
class Owner:
    """Who may hand in jobs.

    Args:
        id: made by the server; a name that is given again later is another owner.
        name: for the operator.
        token: SHA-256 of the token.
        created: seconds since 1970.
    """

    id: str
    name: str
    token: bytes
    created: float


@dataclass(frozen=True)
class Order:
    """What an owner hands in, beside images.

    Args:
        key: the owner's own word for the job.
        recipe: text of a recipe file.
        dataset: an allowed location; empty where images are sent.
        images: how many are sent.
        include_originals: whether results hold the originals too.
    """

    key: str
    recipe: str
    dataset: str = ""
    images: int = 0
    include_originals: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of all but the key, hexadecimal."""
        said = [self.recipe, self.dataset, self.images, self.include_originals]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


@dataclass(frozen=True)
class StoredJob:
    """A job.

    Args:
        id: made by the server; names the job's folder.
        owner: id of its owner.
        key: the owner's word.
        order: digest of its order.
        recipe: row, version and changes, for people.
        dataset: an allowed location; empty where images were sent.
        images: how many were sent.
        created: seconds since 1970, as the other times.
        state: see `State`.
        revision: grows with every change.
        progress: how far it is; None before the first word of its worker.
        code: why it failed, a code of the project; empty otherwise.
        message: the same for people.
        crashes: times that its worker died.
        started: when it was taken first; None before.
        ended: when it ended.
        expires: when its files go.
        held: bytes that its folder holds.
        files: results.
        size: bytes of the results.
    """

    id: str
    owner: str
    key: str
    order: str
    recipe: str
    dataset: str
    images: int
    created: float
    state: State = State.QUEUED
    revision: int = 1
    progress: Progress | None = None
    code: str = ""
    message: str = ""
    crashes: int = 0
    started: float | None = None
    ended: float | None = None
    expires: float | None = None
    held: int = 0
    files: int = 0
    size: int = 0


@dataclass(frozen=True)
class ResultFile:
    """A file that a job made.

    Args:
        number: place in the list, from 0.
        name: below the job's folder of results, with slashes.
        size: bytes.
        sha256: hexadecimal.
    """

    number: int
    name: str
    size: int
    sha256: str
