"""The token that callers on loopback must send, and the file that only its owner can read it from."""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import grpc.aio

from edge_client.agent.locks import held
from edge_client.store import default_root
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors
from shared.wire.serving import Sent, WrapCalls

__all__ = ["HEADER", "RequireToken", "default_token_file", "token_file"]

HEADER = "authorization"
_TOKEN_BYTES = 32
_SETTING = "--token-file"
Context = grpc.aio.ServicerContext[Any, Any]


def default_token_file() -> Path:
    """Where the token is written unless the caller says otherwise: in the device's own folder."""
    return default_root() / "agent-token"


@contextmanager
def token_file(path: Path) -> Iterator[str]:
    """A new random token, in a file of mode 0600 for as long as the block lasts.

    Raises:
        GoodnoiseError: INVALID_INPUT when another agent uses the file, PERMISSION or PRECONDITION when it
            cannot be written.
    """
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    taken = f"another agent keeps its token in {path}; name another file with {_SETTING}"
    with contextlib.ExitStack() as stack:
        with storage_errors(path.parent, setting=_SETTING):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.enter_context(held(path, taken=taken))
            _write_private(path, f"{token}\n")
        stack.callback(path.unlink, missing_ok=True)
        yield token


def _write_private(path: Path, text: str) -> None:
    """Write a file that nobody else can read at any moment; what was at `path` is replaced, not followed."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


class RequireToken(WrapCalls):
    """Refuses every call that does not carry `authorization: Bearer TOKEN`.

    Args:
        token: what callers must send.
    """

    def __init__(self, token: str) -> None:
        super().__init__(self._check)
        self._wanted = f"Bearer {token}".encode()

    @asynccontextmanager
    async def _check(self, _method: str, context: Context) -> AsyncIterator[Sent | None]:
        sent = [_as_bytes(value) for key, value in context.invocation_metadata() or () if key == HEADER]
        # In constant time, so that a stranger cannot find the token byte by byte.
        if len(sent) != 1 or not hmac.compare_digest(sent[0], self._wanted):
            raise GoodnoiseError(
                Code.UNAUTHENTICATED,
                f"the call carries no valid token; send the metadata '{HEADER}: Bearer TOKEN', "
                "with the content of the agent's token file",
            )
        yield None


def _as_bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
