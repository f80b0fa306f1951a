"""A rate limit by address: token buckets in memory, forgotten when full again or when there are too many."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["TokenBuckets", "address_key", "buckets_of"]

# An address may use this much of its rate at once.
_BURST_SECONDS = 10


class TokenBuckets:
    """One bucket a key: `capacity` tokens, refilled at `per_second`. Each call costs one token.

    Args:
        capacity: calls that may come at once.
        per_second: calls that may come in the long run.
        most: buckets held at a time; the ones used longest ago go first.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        *,
        capacity: float,
        per_second: float,
        most: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if capacity < 1 or per_second <= 0:
            raise ValueError(f"capacity {capacity} must be at least 1 and per_second {per_second} positive")
        self._capacity = capacity
        self._per_second = per_second
        self._most = most
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """Take one token.

        Returns:
            0.0 when there was one, else the seconds until there will be one.
        """
        now = self._clock()
        tokens, seen = self._buckets.pop(key, (self._capacity, now))
        tokens = min(self._capacity, tokens + (now - seen) * self._per_second)
        wait = 0.0 if tokens >= 1.0 else (1.0 - tokens) / self._per_second
        self._buckets[key] = (tokens - 1.0 if wait == 0.0 else tokens, now)
        self._forget(now)
        return wait

    def __len__(self) -> int:
        return len(self._buckets)

    def _forget(self, now: float) -> None:
        """Drop the oldest buckets that are full by now, a few at a time, and any beyond the most allowed."""
        for _ in range(2):
            key, (tokens, seen) = next(iter(self._buckets.items()))
            if len(self._buckets) <= self._most and tokens + (now - seen) * self._per_second < self._capacity:
                return
            del self._buckets[key]
            if not self._buckets:
                return


def address_key(peer: str) -> str:
    """The address of gRPC's peer text, without its port; of IPv6 the /64 network, which is one household."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return kind
    host = rest.rpartition(":")[0].replace("%5B", "[").replace("%5D", "]").strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return kind
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def buckets_of(rate_per_minute: int) -> TokenBuckets | None:
    """The buckets of a rate by address; None for 0, which is no limit."""
    if rate_per_minute == 0:
        return None
    per_second = rate_per_minute / 60
    return TokenBuckets(capacity=max(1.0, per_second * _BURST_SECONDS), per_second=per_second)
