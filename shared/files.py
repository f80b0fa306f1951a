"""Files that are whole or absent, and errors of the disk that name the way out."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from shared.errors import Code, GoodnoiseError

__all__ = ["atomic_file", "sha256_of_file", "storage_errors", "write_atomically"]

_READ_BYTES = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that becomes `path` when the block ends well: readers see the old content or the new.

    Raises:
        OSError: as the system says it; the old content stays.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with scratch.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write `path` whole or not at all, as `atomic_file` does.

    Raises:
        OSError: as the system says it; the old content stays.
    """
    with atomic_file(path) as file:
        file.write(content)


def sha256_of_file(path: Path) -> str:
    """Hex sha256 of a file, read in parts."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_READ_BYTES):
            digest.update(part)
    return digest.hexdigest()


@contextlib.contextmanager
def storage_errors(folder: Path, *, setting: str) -> Iterator[None]:
    """Turn errors of the disk into the project's own.

    Args:
        folder: what the message names.
        setting: what moves the folder elsewhere, for the message.

    Raises:
        GoodnoiseError: EXHAUSTED for a full disk, PERMISSION, or PRECONDITION for any other.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise GoodnoiseError(
                Code.EXHAUSTED,
                f"no space left for {folder}; free some, or choose another folder with {setting}",
                {"resource": "disk"},
            ) from error
        code = Code.PERMISSION if error.errno in _REFUSED else Code.PRECONDITION
        raise GoodnoiseError(
            code, f"cannot use {folder}: {error.strerror or error}; mend it, or choose another with {setting}"
        ) from error
