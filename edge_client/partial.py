"""An object on its way to the device: a file that grows, is proven, and then moves into its place."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from shared.bundle import BundleObject
from shared.errors import Code, GoodnoiseError
from shared.files import sha256_of_file, storage_errors

__all__ = ["Partial"]


class Partial:
    """A download that can be cut off at any byte and gone on with.

    Used as a context manager around the writing; `finish` comes after it.

    Args:
        path: where it grows.
        target: where it goes when it is whole.
        item: what it shall become.
    """

    def __init__(self, path: Path, target: Path, item: BundleObject) -> None:
        self._path = path
        self._target = target
        self._item = item
        self._file: IO[bytes] | None = None

    @property
    def size(self) -> int:
        """Bytes that are there already; 0 when what is there cannot be a beginning of the object."""
        try:
            found = self._path.stat().st_size
        except FileNotFoundError:
            return 0
        return found if found <= self._item.size else 0

    @property
    def whole(self) -> bool:
        """Whether every byte is there, right or wrong."""
        return self._path.exists() and self._path.stat().st_size == self._item.size

    def __enter__(self) -> Self:
        with self._disk():
            self._file = self._path.open("ab" if self.size else "wb", buffering=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def append(self, part: bytes) -> None:
        """Write the next part.

        Raises:
            GoodnoiseError: EXHAUSTED for a full disk.
        """
        if self._file is None:
            raise ValueError("append outside of the with block")
        view = memoryview(part)
        with self._disk():
            while view:  # an unbuffered file may take less than it is given
                view = view[self._file.write(view) :]

    def finish(self) -> None:
        """Prove the object and put it into its place; a wrong one is removed, and the next try begins at 0.

        Raises:
            GoodnoiseError: CORRUPT when size or sha256 is not the announced one.
        """
        with self._disk():
            size, digest = self._path.stat().st_size, sha256_of_file(self._path)
            if (size, digest) == (self._item.size, self._item.sha256):
                self._settle()
                return
            self._path.unlink()
        raise GoodnoiseError(
            Code.CORRUPT,
            f"object {self._item.name!r} came with sha256 {digest} and {size} bytes, announced were "
            f"{self._item.sha256} and {self._item.size}; it was thrown away, nothing is installed; try again",
        )

    def _settle(self) -> None:
        with self._path.open("rb+") as file:
            os.fsync(file.fileno())
        self._path.replace(self._target)

    def _disk(self) -> AbstractContextManager[None]:
        return storage_errors(self._path.parent, setting="GOODNOISE_HOME")
