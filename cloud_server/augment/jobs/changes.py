"""Tells those who watch a job that it changed."""

from __future__ import annotations

import asyncio
import contextlib

__all__ = ["Changes"]

# Commands of the operator change jobs from other processes; so late a watcher sees it.
_POLL_SECONDS = 5.0


class Changes:
    """Jobs that are watched, in one process. A watcher takes a ticket, reads the job, then waits."""

    def __init__(self) -> None:
        self._tickets: dict[str, asyncio.Event] = {}

    def ticket(self, job: str) -> asyncio.Event:
        """Is set by the next change."""
        return self._tickets.setdefault(job, asyncio.Event())

    def tell(self, job: str) -> None:
        """A job changed."""
        ticket = self._tickets.pop(job, None)
        if ticket is not None:
            ticket.set()

    async def wait(self, ticket: asyncio.Event) -> None:
        """Until a change, or until it is time to look anyway."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ticket.wait(), _POLL_SECONDS)
