"""The memory that all calls to the agent share, so that many callers together cannot exhaust the device."""

from __future__ import annotations

from shared.errors import Code, GoodnoiseError

__all__ = ["Lease", "Room"]


class Room:
    """Memory that all open calls share, in bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.free = size

    def lease(self) -> Lease:
        """A call's share of it, empty at first."""
        return Lease(self)


class Lease:
    """One call's share of a `Room`."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._taken = 0
        self._open = True

    def take(self, size: int) -> None:
        """Take more.

        Raises:
            GoodnoiseError: EXHAUSTED when the other calls leave too little.
        """
        if not self._open or size > self._room.free:
            raise GoodnoiseError(
                Code.EXHAUSTED,
                "other calls hold too much of this agent's memory; wait for them, then send again",
            )
        self._room.free -= size
        self._taken += size

    def release(self) -> None:
        """Give all of it back, for good; a second time does nothing."""
        self._open = False
        self._room.free += self._taken
        self._taken = 0
