"""Counters in Redis for `limits`, for replicas on several machines.

The ones of `limits` itself make a round trip for each hit, and a challenge costs five hits. Where Redis
forces what it writes to the disk each trip waits for that, so all hits of a call are one step here (`admit`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from limits.aio.storage import SlidingWindowCounterSupport, Storage
from redis.asyncio.client import Redis
from redis.exceptions import RedisError

from cloud_server.captcha.counting import Bound
from cloud_server.captcha.state.redisbatch import RedisBatches, Word
from cloud_server.captcha.state.redislink import PREFIX, connections

__all__ = ["RedisCounts"]

_PREFIX = PREFIX + "limits:"

# KEYS counter; ARGV amount, milliseconds
_INCR = """
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return count
"""

# By Redis' own clock, which all replicas share.
_NOW = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
"""

# KEYS windows, then tallies; ARGV how many are windows, then limit and seconds of each key. The number of the
# one that refused, 0 for none. Tallies grow only when none of them refuses.
_ADMIT = (
    _NOW
    + """
local windows = tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
  local limit, seconds = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  if i <= windows then
    local number, left = math.floor(now / seconds), seconds - now % seconds
    local this = key .. '/' .. number
    local before = tonumber(redis.call('GET', key .. '/' .. (number - 1)) or '0')
    local current = tonumber(redis.call('GET', this) or '0')
    if math.floor(before * left / seconds + current) + 1 > limit then return i end
    redis.call('INCR', this)
    redis.call('PEXPIRE', this, seconds * 2000)
  elseif tonumber(redis.call('GET', key) or '0') >= limit then
    return i
  end
end
for i = windows + 1, #KEYS do
  redis.call('INCR', KEYS[i])
  if redis.call('PTTL', KEYS[i]) < 0 then redis.call('PEXPIRE', KEYS[i], ARGV[2 * i + 1] * 1000) end
end
return 0
"""
)

# KEYS tallies
_RELEASE = """
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') > 0 then redis.call('DECR', key) end
end
"""

# KEYS counter; ARGV seconds of a window
_WINDOW = (
    _NOW
    + """
local seconds = tonumber(ARGV[1])
local number, left = math.floor(now / seconds), seconds - now % seconds
local this = KEYS[1] .. '/' .. number
local before = tonumber(redis.call('GET', KEYS[1] .. '/' .. (number - 1)) or '0')
local current = tonumber(redis.call('GET', this) or '0')
"""
)
_LOOK = _WINDOW + "return {before, math.floor(left * 1000), current}"
# ARGV seconds of a window, limit, amount
_HIT = (
    _WINDOW
    + """
if math.floor(before * left / seconds + current) + tonumber(ARGV[3]) > tonumber(ARGV[2]) then return 0 end
redis.call('INCRBY', this, ARGV[3])
redis.call('PEXPIRE', this, seconds * 2000)
return 1
"""
)
_CLEAR = _WINDOW + "return redis.call('DEL', KEYS[1], this, KEYS[1] .. '/' .. (number - 1))"


class RedisCounts(Storage, SlidingWindowCounterSupport):
    """Counters that expire.

    Args:
        url: `redis://`, `rediss://` or `unix://`.

    Raises:
        GoodnoiseError: INVALID_INPUT, the address cannot be read.
    """

    STORAGE_SCHEME = None

    def __init__(self, url: str) -> None:
        super().__init__(wrap_exceptions=True)
        self._client = Redis.from_pool(connections(url))
        self._batches = RedisBatches(self._client)

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What becomes the `StorageError` of `limits`."""
        return RedisError, OSError

    async def admit(self, windows: Sequence[Bound], tallies: Sequence[Bound] = ()) -> int:
        """As of `MemoryCounts`."""
        bounds = [*windows, *tallies]
        if not bounds:
            return 0
        keys = [_PREFIX + bound.key for bound in bounds]
        args = [word for bound in bounds for word in (bound.limit, bound.seconds)]
        return int(await self._batches.send(["EVAL", _ADMIT, len(keys), *keys, len(windows), *args]))

    async def release(self, keys: Sequence[str]) -> None:
        """As of `MemoryCounts`."""
        if keys:
            names = [_PREFIX + key for key in keys]
            await self._batches.send(["EVAL", _RELEASE, len(names), *names])

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to a counter, which ends `expiry` seconds after it was made; the new count."""
        return int(await self._evaluate(_INCR, key, amount, math.ceil(1000 * expiry)))

    async def get(self, key: str) -> int:
        """The count, 0 for what is unknown."""
        return int(await self._batches.send(["GET", _PREFIX + key]) or 0)

    async def get_expiry(self, key: str) -> float:
        """When a counter ends, by this machine's clock."""
        return time.time() + max(0, int(await self._batches.send(["PTTL", _PREFIX + key]))) / 1000

    async def check(self) -> bool:
        """Whether Redis answers."""
        return bool(await self._batches.send(["PING"]))

    async def reset(self) -> int | None:
        """Forget everything; how much there was."""
        keys = [key async for key in self._client.scan_iter(match=_PREFIX + "*", count=1000)]
        return int(await self._client.delete(*keys)) if keys else 0

    async def clear(self, key: str) -> None:
        """Forget one counter."""
        await self._batches.send(["DEL", _PREFIX + key])

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count a hit, unless this window's, with the weighted ones of the one before, reach the limit."""
        return bool(await self._evaluate(_HIT, key, expiry, limit, amount))

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Hits and remaining seconds of the window before, and of this one."""
        before, left, current = (int(each) for each in await self._evaluate(_LOOK, key, expiry))
        return before, left / 1000 if before else 0.0, current, left / 1000 + expiry

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget both windows."""
        await self._evaluate(_CLEAR, key, expiry)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def _evaluate(self, script: str, key: str, *args: Word) -> Any:  # noqa: ANN401 - as scripts answer
        command: Sequence[Word] = ["EVAL", script, 1, _PREFIX + key, *args]
        return await self._batches.send(command)
