"""Where the agent may listen: a Unix socket that only its owner can reach, or loopback; nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_client.agent.locks import held
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors

__all__ = ["Loopback", "UnixSocket", "own_socket", "parse_listen"]

_SETTING = "--listen"
_LOOPBACK = re.compile(r"(127\.0\.0\.1|\[::1\]|localhost):([0-9]{1,5})")
# The shortest limit of the systems that have Unix sockets, less the closing zero.
_LONGEST_PATH = 103


@dataclass(frozen=True)
class UnixSocket:
    """A socket's path."""

    path: Path

    def address(self) -> str:
        """As gRPC writes it; odd characters are quoted."""
        quoted = re.sub(rb"[^A-Za-z0-9/._~-]", lambda found: b"%%%02X" % found[0][0], os.fsencode(self.path))
        return f"unix:{quoted.decode()}"


@dataclass(frozen=True)
class Loopback:
    """A loopback host, as a literal address, and a port; 0 for any that is free."""

    host: str
    port: int

    def address(self, port: int) -> str:
        """As gRPC writes it."""
        return f"{self.host}:{port}"


def parse_listen(text: str) -> UnixSocket | Loopback:
    """Where to listen.

    Args:
        text: unix:PATH, or 127.0.0.1:PORT, [::1]:PORT, localhost:PORT.

    Raises:
        GoodnoiseError: INVALID_INPUT for anything else: the agent holds photos and serves this device only.
    """
    if text.startswith("unix:") and len(text) > len("unix:"):
        path = Path(os.path.abspath(text.removeprefix("unix:").replace("//", "/", 1)))  # noqa: PTH100 - keeps links
        if len(os.fsencode(path)) > _LONGEST_PATH:
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                f"{path} is too long for a socket: at most {_LONGEST_PATH} bytes; choose a shorter path",
            )
        return UnixSocket(path)
    found = _LOOPBACK.fullmatch(text)
    if found is None or int(found[2]) > 65535:
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"cannot listen on {text!r}: give unix:PATH, or a loopback address such as 127.0.0.1:7070",
        )
    # The name could be made to mean another host; the number cannot.
    return Loopback("127.0.0.1" if found[1] == "localhost" else found[1], int(found[2]))


@asynccontextmanager
async def own_socket(wanted: UnixSocket) -> AsyncIterator[UnixSocket]:
    """A path that may be bound, in a folder of the user's own, with no server on it; removed at the end.

    Raises:
        GoodnoiseError: PERMISSION for a folder that others can enter or own, INVALID_INPUT where another
            server listens or something else than a socket lies.
    """
    with contextlib.ExitStack() as stack:
        with storage_errors(wanted.path.parent, setting=_SETTING):
            # Without links, so that what is checked is what is bound.
            path = _own_folder(wanted.path.parent) / wanted.path.name
            # Two agents that start at the same moment would each find the other's socket stale.
            stack.enter_context(held(path, taken=_taken(path)))
            await _clear(path)
        stack.callback(path.unlink, missing_ok=True)
        yield UnixSocket(path)


def _own_folder(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    real = folder.resolve(strict=True)
    found = real.stat()
    if found.st_uid != os.getuid():
        raise GoodnoiseError(
            Code.PERMISSION, f"folder {real} belongs to another user; choose one of your own with {_SETTING}"
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        raise GoodnoiseError(
            Code.PERMISSION,
            f"folder {real} has mode {mode:04o}, so others could reach the socket; run 'chmod 700 {real}', "
            "or name a folder that does not exist yet",
        )
    return real


async def _clear(path: Path) -> None:
    """Remove a socket that nobody listens on. gRPC itself would remove a live one as well."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{path} exists and is no socket; choose another path with {_SETTING}"
        )
    if await _answers(path):
        raise GoodnoiseError(Code.INVALID_INPUT, _taken(path))
    path.unlink(missing_ok=True)


async def _answers(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _taken(path: Path) -> str:
    return f"another server listens on {path}; stop it, or choose another path with {_SETTING}"
