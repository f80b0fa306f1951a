"""Where a result goes, and how it gets there: whole or not at all, and never over an original."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import get_args

from edge_client.photos.photo import Format
from shared.errors import Code, GoodnoiseError

__all__ = ["SUFFIXES", "output_path", "write_atomic"]

# File name endings by format; the first is the one to use where the source's own is none of them.
SUFFIXES: dict[Format, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "HEIF": (".heic", ".heif", ".hif"),
}


def output_path(source: Path, out_dir: Path | None, fmt: Format, *, overwrite: bool = False) -> Path:
    """Where the protected copy of `source` goes.

    `out_dir/NAME.EXT`, or `NAME.protected.EXT` beside the source. The ending is the source's own where it
    fits the format.

    Args:
        source: the original.
        out_dir: folder for results, or None.
        fmt: the format of the result.
        overwrite: whether an existing file, which is not the original, may be replaced.

    Raises:
        GoodnoiseError: PRECONDITION when the place is taken or is the original itself.
    """
    if fmt not in get_args(Format):
        raise ValueError(f"fmt: expected one of {', '.join(get_args(Format))}, got {fmt!r}")
    suffix = source.suffix if source.suffix.lower() in SUFFIXES[fmt] else SUFFIXES[fmt][0]
    target = (
        out_dir / f"{source.stem}{suffix}"
        if out_dir
        else source.with_name(f"{source.stem}.protected{suffix}")
    )
    _refuse_original(source, target)
    if os.path.lexists(target) and not overwrite:
        raise GoodnoiseError(
            Code.PRECONDITION,
            f"{target.name} exists already; give another folder with -o, or allow overwriting",
        )
    return target


def _refuse_original(source: Path, target: Path) -> None:
    # Same file by another name, a hard link or a symbolic link: each would cost or confuse the original.
    same = target.resolve() == source.resolve()
    with suppress(OSError):
        same = same or target.samefile(source)
    if same:
        raise GoodnoiseError(
            Code.PRECONDITION, f"{target.name} would replace the original; give another folder with -o"
        )
    if target.is_dir():
        raise GoodnoiseError(Code.PRECONDITION, f"{target.name} is a folder; give another folder with -o")


def write_atomic(path: Path, data: bytes, *, overwrite: bool = False) -> None:
    """Write a whole file or none, on disk when this returns; permissions follow the umask.

    Args:
        path: the file; its folder must exist.
        data: the content.
        overwrite: whether an existing file may be replaced. Without it, a file that appeared meanwhile is
            left alone.

    Raises:
        GoodnoiseError: PRECONDITION when the file exists; NOT_FOUND, PERMISSION or EXHAUSTED as the disk
            answers.
    """
    # A short name of our own: the target's may already be as long as a name can be.
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        _write_new(part, data)
        if overwrite:
            part.replace(path)
        else:
            _place_new(part, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _explained(error, path) from error
    finally:
        with suppress(OSError):
            part.unlink()


def _write_new(path: Path, data: bytes) -> None:
    # os.open with 0o666 lets the kernel apply the umask, which Python can only read by changing it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _place_new(part: Path, path: Path) -> None:
    try:
        path.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES):
            raise
        # No hard links on this file system (FAT, some phones): the check and the move are two steps there.
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "exists", str(path)) from error
        part.replace(path)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _explained(error: OSError, path: Path) -> GoodnoiseError:
    if isinstance(error, FileExistsError):
        return GoodnoiseError(
            Code.PRECONDITION,
            f"{path.name} exists already; give another folder with -o, or allow overwriting",
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return GoodnoiseError(
            Code.EXHAUSTED, f"no space left for {path.name}; free some and try again", {"resource": "disk"}
        )
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return GoodnoiseError(
            Code.PERMISSION, f"{path.name} may not be written to its folder; give another one with -o"
        )
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return GoodnoiseError(Code.NOT_FOUND, f"the folder for {path.name} does not exist; create it first")
    return GoodnoiseError(
        Code.INVALID_INPUT, f"{path.name} cannot be written ({error.strerror}); give another folder with -o"
    )
