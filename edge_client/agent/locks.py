"""One holder for a path: a lock beside it that ends with its process, however that ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from shared.errors import Code, GoodnoiseError

__all__ = ["held"]


@contextmanager
def held(path: Path, *, taken: str) -> Iterator[None]:
    """Hold a path's lock for the block. The lock's file stays: removing it would race with another holder.

    Args:
        path: what is locked; the lock's file lies beside it.
        taken: the message when another process holds it.

    Raises:
        GoodnoiseError: INVALID_INPUT when another process holds it.
        OSError: as the system says it.
    """
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=0, mode=0o600)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise GoodnoiseError(Code.INVALID_INPUT, taken) from error
    try:
        yield
    finally:
        lock.release()
