"""Files that are whole or absent, and errors of the disk that name the way out."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from shared.errors import Code, GoodnoiseError

__all__ = ["sha256_of_file", "storage_errors", "write_atomically"]

_READ_BYTES = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


def write_atomically(path: Path, content: bytes) -> None:
    """Write `path` whole or not at all: a reader sees the old content or the new, also after a power cut.

    Raises:
        OSError: as the system says it; the old content stays.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


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
            ) from error
        code = Code.PERMISSION if error.errno in _REFUSED else Code.PRECONDITION
        raise GoodnoiseError(
            code, f"cannot use {folder}: {error.strerror or error}; mend it, or choose another with {setting}"
        ) from error
