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
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from redis.exceptions import RedisError

from cloud_server.captcha.counting import Bound, MemoryCounts
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


@dataclass(frozen=True)
class _Counter:
    """One of the counters of a call; a window where it has names, else a tally of this name."""

    what: str
    scope: str
    item: RateLimitItem
    names: tuple[str, ...] = ()
    tally: str = ""

    @property
    def bound(self) -> Bound:
        key = self.item.key_for(*self.names) if self.names else f"unsolved/{self.scope}/{self.tally}"
        return Bound(key, self.item.amount, self.item.get_expiry())


class Limits:
    """Counts what visitors do.

    Args:
        counts: where.
        settings: the limits.
        keys: hash addresses.
    """

    def __init__(self, counts: MemoryCounts | RedisCounts, settings: LimitSettings, keys: Keys) -> None:
        self._counts = counts
        self._window = SlidingWindowCounterRateLimiter(counts)
        self._rates = {act: _items(getattr(settings, act)) for act in Act}
        self._unsolved = _items(settings.unsolved)
        self._keys = keys

    def caller(self, address: str, *, stated_by: str = "") -> Caller:
        """Who an address is to the limits.

        Args:
            address: as text.
            stated_by: the site whose server states it. It counts at that site alone, so that no site can use
                up what a visitor has elsewhere.
        """
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return Caller("", self._keys.name("subnet", "unknown"))
        found = getattr(found, "ipv4_mapped", None) or found
        own, near = (32, 24) if found.version == 4 else (64, 48)
        return Caller(
            self._name("address", str(ipaddress.ip_network((found, own), strict=False)), stated_by),
            self._name("subnet", str(ipaddress.ip_network((found, near), strict=False)), stated_by),
        )

    async def may(self, act: Act, caller: Caller, *, site: str = "") -> None:
        """Count an act of a visitor, at a site where one is named; all in one step.

        Raises:
            GoodnoiseError: EXHAUSTED with `RETRY_AFTER`, the limit of the visitor, its subnet or the site is
                reached; what is named later is then not counted.
        """
        await self._admit(self._acts(act, caller, site), [])

    @asynccontextmanager
    async def issuing(self, caller: Caller, *, site: str = "") -> AsyncIterator[None]:
        """Counts that a challenge is issued, as `may`, and in the same step that it is unsolved.

        `solved` takes the second back, and so does an error in the block.

        Raises:
            GoodnoiseError: as `may`; EXHAUSTED with `RETRY_AFTER` also when too many were not solved.
        """
        tallies = self._tallies(caller)
        await self._admit(self._acts(Act.ISSUE, caller, site), tallies)
        try:
            yield
        except Exception:  # not for who hangs up, whose challenge may be out of the pool by then
            await self._release(tallies)
            raise

    async def solved(self, caller: Caller) -> None:
        """A challenge that was issued to this visitor was answered rightly."""
        await self._release(self._tallies(caller))

    async def plays(self, challenge: str, *, seconds: float) -> int:
        """How often a challenge was played, with this time; counted for so many seconds."""
        key = f"plays/{self._keys.name('plays', challenge)}"
        async with _reached():
            return await self._counts.incr(key, math.ceil(seconds))

    async def close(self) -> None:
        """Let go of connections."""
        if isinstance(self._counts, RedisCounts):
            await self._counts.close()

    def _name(self, kind: str, network: str, stated_by: str) -> str:
        return self._keys.name(kind, network, *([stated_by] if stated_by else []))

    async def _admit(self, acts: list[_Counter], tallies: list[_Counter]) -> None:
        async with _reached():
            refused = await self._counts.admit([each.bound for each in acts], [t.bound for t in tallies])
            if not refused:
                return
            counter = [*acts, *tallies][refused - 1]
            until = await self._until(counter)
        raise _exhausted(counter.what, counter.scope, until - time.time())

    async def _until(self, counter: _Counter) -> float:
        if counter.names:
            return (await self._window.get_window_stats(counter.item, *counter.names)).reset_time
        return await self._counts.get_expiry(counter.bound.key)

    async def _release(self, tallies: list[_Counter]) -> None:
        async with _reached():
            await self._counts.release([tally.bound.key for tally in tallies])

    def _acts(self, act: Act, caller: Caller, site: str) -> list[_Counter]:
        names = {"address": caller.owner, "subnet": caller.subnet, "site": site}
        rates = self._rates[act]
        return [
            _Counter(f"calls ({act})", scope, rates[scope], (act, scope, name))
            for scope, name in names.items()
            if name and scope in rates
        ]

    def _tallies(self, caller: Caller) -> list[_Counter]:
        names = {"address": caller.owner, "subnet": caller.subnet}
        return [
            _Counter("challenges that were not solved", scope, self._unsolved[scope], tally=name)
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
    counts = RedisCounts(url) if is_redis(url) else MemoryCounts(clock=clock)
    return Limits(counts, settings or LimitSettings(), Keys(key))


def _items(rates: Rates) -> Mapping[str, RateLimitItem]:
    texts = {"address": rates.address, "subnet": rates.subnet, "site": rates.site}
    return {scope: parse(text) for scope, text in texts.items() if text}


@asynccontextmanager
async def _reached() -> AsyncIterator[None]:
    try:
        yield
    except (StorageError, RedisError, OSError) as error:
        message = "the limits' counters cannot be reached"
        raise GoodnoiseError(Code.UNAVAILABLE, message, {RETRY_AFTER: "1.000"}) from error


def _exhausted(what: str, scope: str, wait: float) -> GoodnoiseError:
    seconds = max(1.0, wait)
    return GoodnoiseError(
        Code.EXHAUSTED,
        f"too many {what} of one {scope}; wait {math.ceil(seconds)} seconds",
        {RETRY_AFTER: f"{seconds:.3f}"},
    )
