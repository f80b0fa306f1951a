"""Limits by address, subnet and site.

No store sees an address: counters carry keyed hashes, and end with their window.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum

from limits import RateLimitItem, parse
from limits.aio.storage import Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

from cloud_server.captcha.counting import MemoryCounts
from cloud_server.captcha.keys import Keys
from cloud_server.captcha.rediscounts import RedisCounts
from cloud_server.captcha.settings import LimitSettings, Rates
from cloud_server.captcha.state.opening import is_redis
from shared.errors import Code, GoodnoiseError
from shared.wire.status import RETRY_AFTER

__all__ = ["Act", "Caller", "Limits", "open_limits"]


class Act(StrEnum):
    """What is limited."""

    ISSUE = "issue"
    IMAGE = "image"
    ANSWER = "answer"


@dataclass(frozen=True)
class Caller:
    """A visitor's address as limits know it.

    Args:
        owner: keyed hash of the IPv4 address or the IPv6 /64; empty when unknown.
        subnet: the same of the /24 or the /48; of all unknown addresses it is one and the same.
    """

    owner: str
    subnet: str


class Limits:
    """Counts what visitors do.

    Args:
        storage: of `limits`.
        settings: the limits.
        keys: hash addresses.
    """

    def __init__(self, storage: Storage, settings: LimitSettings, keys: Keys) -> None:
        self._storage = storage
        self._window = SlidingWindowCounterRateLimiter(storage)
        self._rates = {act: _items(getattr(settings, act)) for act in Act}
        self._unsolved = _items(settings.unsolved)
        self._keys = keys

    def caller(self, address: str) -> Caller:
        """Who an address is to the limits."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return Caller("", self._keys.name("subnet", "unknown"))
        found = getattr(found, "ipv4_mapped", None) or found
        own, near = (32, 24) if found.version == 4 else (64, 48)
        return Caller(
            self._keys.name("address", str(ipaddress.ip_network((found, own), strict=False))),
            self._keys.name("subnet", str(ipaddress.ip_network((found, near), strict=False))),
        )

    async def caller_may(self, act: Act, caller: Caller) -> None:
        """Count an act of a visitor.

        Raises:
            GoodnoiseError: EXHAUSTED with `RETRY_AFTER`, the visitor's limit, or its subnet's, is reached.
        """
        await self._hit(act, "address", caller.owner)
        await self._hit(act, "subnet", caller.subnet)

    async def site_may(self, act: Act, site: str) -> None:
        """Count an act on a site; raises as `caller_may`."""
        await self._hit(act, "site", site)

    @asynccontextmanager
    async def unsolved(self, caller: Caller) -> AsyncIterator[None]:
        """Counts a challenge as unsolved; `solved` takes it back, and so does an error in the block.

        Raises:
            GoodnoiseError: EXHAUSTED with `RETRY_AFTER`, too many were not solved.
        """
        counted: list[tuple[str, int]] = []
        try:
            for scope, key, item in self._unsolved_keys(caller):
                counted.append((key, item.get_expiry()))
                await self._count_unsolved(scope, key, item)
            yield
        except BaseException:
            for key, expiry in counted:
                await self._take_back(key, expiry)
            raise

    async def solved(self, caller: Caller) -> None:
        """A challenge that was issued to this visitor was answered rightly."""
        for _, key, item in self._unsolved_keys(caller):
            await self._take_back(key, item.get_expiry())

    async def plays(self, challenge: str, *, seconds: float) -> int:
        """How often a challenge was played, with this time; counted for so many seconds."""
        key = f"plays/{self._keys.name('plays', challenge)}"
        async with _reached():
            return await self._storage.incr(key, math.ceil(seconds))

    async def close(self) -> None:
        """Let go of connections."""
        if isinstance(self._storage, RedisCounts):
            await self._storage.close()

    async def _hit(self, act: Act, scope: str, name: str) -> None:
        item = self._rates[act].get(scope)
        if item is None or not name:
            return
        async with _reached():
            allowed = await self._window.hit(item, act, scope, name)
            if allowed:
                return
            stats = await self._window.get_window_stats(item, act, scope, name)
        raise _exhausted(f"calls ({act})", scope, stats.reset_time - time.time())

    async def _count_unsolved(self, scope: str, key: str, item: RateLimitItem) -> None:
        async with _reached():
            count = await self._storage.incr(key, item.get_expiry())
            if count <= item.amount:
                return
            wait = await self._storage.get_expiry(key) - time.time()
        raise _exhausted("challenges that were not solved", scope, wait)

    async def _take_back(self, key: str, expiry: int) -> None:
        async with _reached():
            if await self._storage.get(key) > 0:
                await self._storage.incr(key, expiry, -1)

    def _unsolved_keys(self, caller: Caller) -> list[tuple[str, str, RateLimitItem]]:
        names = {"address": caller.owner, "subnet": caller.subnet}
        return [
            (scope, f"unsolved/{scope}/{name}", self._unsolved[scope])
            for scope, name in names.items()
            if name and scope in self._unsolved
        ]


def open_limits(
    url: str,
    settings: LimitSettings | None = None,
    *,
    key: bytes,
    clock: Callable[[], float] = time.time,
) -> Limits:
    """Limits beside the store of an address.

    Args:
        url: as of `open_store`. Redis counts for all replicas; with SQLite each process counts for itself.
        settings: None for the usual limits.
        key: the server's, of `keys.load_key`.
        clock: seconds since 1970; Redis has its own.

    Raises:
        GoodnoiseError: INVALID_INPUT, the address is none.
    """
    storage = RedisCounts(url) if is_redis(url) else MemoryCounts(clock=clock)
    return Limits(storage, settings or LimitSettings(), Keys(key))


def _items(rates: Rates) -> Mapping[str, RateLimitItem]:
    texts = {"address": rates.address, "subnet": rates.subnet, "site": rates.site}
    return {scope: parse(text) for scope, text in texts.items() if text}


@asynccontextmanager
async def _reached() -> AsyncIterator[None]:
    try:
        yield
    except StorageError as error:
        message = "the limits' counters cannot be reached"
        raise GoodnoiseError(Code.UNAVAILABLE, message, {RETRY_AFTER: "1.000"}) from error


def _exhausted(what: str, scope: str, wait: float) -> GoodnoiseError:
    seconds = max(1.0, wait)
    return GoodnoiseError(
        Code.EXHAUSTED,
        f"too many {what} of one {scope}; wait {math.ceil(seconds)} seconds",
        {RETRY_AFTER: f"{seconds:.3f}"},
    )
