"""Keeps a child process running that fills the pool, for as long as a service runs.

The child has a lower priority, so that visitors go first. It ends with its parent, also with one that was
killed: it reads its standard input, which the system closes then (`fill_child`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cloud_server.logs import log

__all__ = ["Backoff", "filling"]

_NICE = 10
_END_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """How long to wait before a child that ended is started again.

    Args:
        first: seconds after the first end.
        most: seconds at most; each wait is twice the one before.
        steady: seconds; a child that ran for so long begins anew at `first`.
    """

    first: float = 1.0
    most: float = 60.0
    steady: float = 60.0

    def after(self, before: float, ran: float) -> float:
        """Seconds to wait.

        Args:
            before: the wait before this child, 0.0 for the first child.
            ran: how long the child ran, seconds.
        """
        if before == 0.0 or ran >= self.steady:
            return self.first
        return min(2 * before, self.most)


@asynccontextmanager
async def filling(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, backoff: Backoff | None = None
) -> AsyncIterator[None]:
    """Runs `command` again and again for as long as the block lasts, and ends it with the block.

    Args:
        command: program and arguments; it must end when its standard input does.
        environment: variables that it gets beside those of this process.
        backoff: waits between one end and the next start.
    """
    keeper = asyncio.create_task(_keep(tuple(command), dict(environment or {}), backoff or Backoff()))
    try:
        yield
    finally:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper


async def _keep(command: tuple[str, ...], environment: dict[str, str], backoff: Backoff) -> None:
    wait = 0.0
    while True:
        began = time.monotonic()
        code = await _run(command, environment)
        wait = backoff.after(wait, time.monotonic() - began)
        log("captcha.fill_ended", code=code, again_in_seconds=wait)
        await asyncio.sleep(wait)


async def _run(command: tuple[str, ...], environment: dict[str, str]) -> int | str:
    """Exit code of one child; the system's word when it could not be started."""
    try:
        child = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, env={**os.environ, **environment}
        )
    except OSError as error:
        return error.strerror or "could not be started"
    with contextlib.suppress(OSError):  # it may have ended already
        os.setpriority(os.PRIO_PROCESS, child.pid, _NICE)
    log("captcha.fill_began", pid=child.pid)
    try:
        return await child.wait()
    finally:
        await asyncio.shield(_end(child))


async def _end(child: asyncio.subprocess.Process) -> None:
    """SIGTERM, and SIGKILL for who does not listen; nothing for who has ended."""
    if child.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(child.wait(), _END_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
