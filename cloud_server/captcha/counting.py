"""Counters in memory for `limits`.

The ones of `limits` itself look at every counter at each hit, which a service with 100,000 visitors cannot
afford, and hold as many as there come. These look at two, and hold a stated number.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor

from limits.aio.storage import SlidingWindowCounterSupport, Storage
from limits.storage.base import TimestampedSlidingWindow

__all__ = ["Bound", "MemoryCounts"]


@dataclass(frozen=True)
class Bound:
    """How often something may happen.

    Args:
        key: of the counter.
        limit: hits.
        seconds: of a window; of a tally, how long it lasts from its first hit.
    """

    key: str
    limit: int
    seconds: int


class MemoryCounts(Storage, SlidingWindowCounterSupport, TimestampedSlidingWindow):
    """Counters that expire.

    Args:
        clock: seconds since 1970.
        most: counters held; of more, those not looked at for the longest time go.
    """

    STORAGE_SCHEME = None

    def __init__(self, *, clock: Callable[[], float] = time.time, most: int = 300_000) -> None:
        super().__init__()
        self._clock = clock
        self._most = most
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """Memory raises none."""
        return ()

    async def admit(self, windows: Sequence[Bound], tallies: Sequence[Bound] = ()) -> int:
        """Count one hit on all of these, in one step.

        Args:
            windows: that slide, in this order; those before the one that refuses are counted.
            tallies: that can be taken back (`release`); none is counted unless all are.

        Returns:
            0, or which of them refused, counted from 1 over both.
        """
        for number, bound in enumerate(windows, start=1):
            if not await self.acquire_sliding_window_entry(bound.key, bound.limit, bound.seconds):
                return number
        for number, bound in enumerate(tallies, start=len(windows) + 1):
            if await self.get(bound.key) >= bound.limit:
                return number
        for bound in tallies:
            await self.incr(bound.key, bound.seconds)
        return 0

    async def release(self, keys: Sequence[str]) -> None:
        """Take one hit on each of these tallies back; none falls below 0."""
        for key in keys:
            if await self.get(key) > 0:
                await self.incr(key, 0.0, -1)

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to a counter, which ends `expiry` seconds after it was made; the new count."""
        now = self._clock()
        count, until = self._counts.pop(key, (0, 0.0))
        if until <= now:
            count, until = 0, now + expiry
        self._counts[key] = (count + amount, until)
        self._forget(now)
        return count + amount

    async def get(self, key: str) -> int:
        """The count, 0 for what is unknown."""
        count, until = self._counts.get(key, (0, 0.0))
        return count if until > self._clock() else 0

    async def get_expiry(self, key: str) -> float:
        """When a counter ends, by the system's clock, as callers of `limits` expect it."""
        _, until = self._counts.get(key, (0, 0.0))
        return time.time() + max(0.0, until - self._clock())

    async def check(self) -> bool:
        """Memory is always there."""
        return True

    async def reset(self) -> int | None:
        """Forget everything; how much there was."""
        count = len(self._counts)
        self._counts.clear()
        return count

    async def clear(self, key: str) -> None:
        """Forget one counter."""
        self._counts.pop(key, None)

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count a hit, unless this window's, with the weighted ones of the one before, reach the limit."""
        now = self._clock()
        before, weight, current, _ = await self._window(key, expiry, now)
        if floor(before * weight / expiry + current) + amount > limit:
            return False
        await self.incr(self.sliding_window_keys(key, expiry, now)[1], 2 * expiry, amount)
        return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Hits and remaining seconds of the window before, and of this one."""
        return await self._window(key, expiry, self._clock())

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget both windows."""
        for each in self.sliding_window_keys(key, expiry, self._clock()):
            await self.clear(each)

    def held(self) -> tuple[str, ...]:
        """Keys of all counters."""
        return tuple(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    async def _window(self, key: str, expiry: int, now: float) -> tuple[int, float, int, float]:
        before_key, current_key = self.sliding_window_keys(key, expiry, now)
        before, current = await self.get(before_key), await self.get(current_key)
        left = expiry - now % expiry
        return before, left if before else 0.0, current, left + expiry

    def _forget(self, now: float) -> None:
        for _ in range(2):
            key, (_, until) = next(iter(self._counts.items()))
            if until <= now or len(self._counts) > self._most:
                del self._counts[key]
            else:
                self._counts.move_to_end(key)
            if not self._counts:
                return
