"""Model work for calls: one thread, a short queue in front of it, and nothing done that nobody waits for."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from shared.errors import Code, GoodnoiseError
from shared.wire.status import RETRY_AFTER

__all__ = ["Desk"]

T = TypeVar("T")

_FIRST_GUESS = 0.2  # seconds a piece of work takes, before one was measured
_DOUBTED = 0.95  # what a refusal leaves of the estimate: a wrong one must not refuse for ever
_REMEMBERED = 0.8  # how much of the estimate is kept when a new time comes in


class Desk:
    """Runs work of one event loop in a thread of its own, one piece at a time.

    Args:
        waiting: pieces that may wait beside the one that runs; more are refused.
    """

    def __init__(self, *, waiting: int = 16) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="directions")
        self._waiting = waiting
        self._open = 0
        self._seconds = _FIRST_GUESS

    async def run(self, work: Callable[[Callable[[], bool]], T], *, seconds: float | None) -> T:
        """What `work` returns.

        Args:
            work: called in the thread with a function that says whether anybody still waits.
            seconds: time that the caller has left; None for no limit.

        Raises:
            GoodnoiseError: EXHAUSTED when too many wait, DEADLINE when the time left is too short, before or
                after waiting; what `work` raises.
        """
        if self._open > self._waiting:
            wait = self._seconds * self._open
            raise GoodnoiseError(
                Code.EXHAUSTED,
                f"{self._open} calls wait for the recognisers; try again in {wait:.1f} s",
                {RETRY_AFTER: f"{wait:.3f}"},
            )
        if seconds is not None and seconds < self._seconds * (self._open + 1):
            self._seconds *= _DOUBTED
            raise _late(seconds)
        end = None if seconds is None else time.monotonic() + seconds
        gone = threading.Event()
        self._open += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._executor, self._piece, work, end, gone
            )
        finally:
            gone.set()  # also when the call was cancelled: the thread stops at its next question
            self._open -= 1

    def close(self) -> None:
        """Drop what waits and let the piece that runs end."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _piece(self, work: Callable[[Callable[[], bool]], T], end: float | None, gone: threading.Event) -> T:
        begun = time.monotonic()
        if end is not None and begun + self._seconds > end:
            raise _late(end - begun)
        result = work(lambda: not gone.is_set())
        took = time.monotonic() - begun
        self._seconds = _REMEMBERED * self._seconds + (1.0 - _REMEMBERED) * took
        return result


def _late(seconds: float) -> GoodnoiseError:
    return GoodnoiseError(
        Code.DEADLINE, f"{max(seconds, 0.0):.2f} s are too short for the recognisers; allow more time"
    )
