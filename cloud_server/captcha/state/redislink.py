"""A connection to Redis that knows which run of the server it speaks to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from redis.asyncio.client import Redis
from redis.asyncio.connection import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from cloud_server.captcha.state import scripts
from cloud_server.captcha.state.redisbatch import RedisBatches, Word
from cloud_server.logs import log
from shared.errors import Code, GoodnoiseError
from shared.wire.status import RETRY_AFTER

__all__ = ["IMAGES", "POOL", "PREFIX", "RedisLink", "connections"]

# In braces, so that a cluster keeps all of it on one node, where a script can reach it.
PREFIX = "{goodnoise}:"
POOL, IMAGES = PREFIX + "pool", PREFIX + "image:"
_POOL_RUN = PREFIX + "pool-run"
_CONNECTIONS = 16
_WAIT_SECONDS = 20.0
_SOCKET_SECONDS = 10.0


class RedisLink:
    """Runs scripts on one Redis server.

    Args:
        url: `redis://`, `rediss://` or `unix://`.

    Raises:
        GoodnoiseError: INVALID_INPUT, the address cannot be read.
    """

    def __init__(self, url: str) -> None:
        self.client = Redis.from_pool(connections(url))
        self._batches = RedisBatches(self.client)
        self._settling = asyncio.Lock()
        self._run = ""

    async def call(
        self, script: str, fields: Sequence[Word], *, keys: Sequence[str] = (), passing: Sequence[str] = ()
    ) -> Any:  # noqa: ANN401 - each script answers in its own way
        """What a script answers.

        Args:
            script: one of `scripts`.
            fields: its arguments after the run.
            keys: that outlive a restart of the server.
            passing: that do not: the run is in their names. They come after the others.

        Raises:
            GoodnoiseError: UNAVAILABLE with `RETRY_AFTER`.
        """
        for _ in range(3):
            run = await self.settled()
            names = [*keys, *(f"{PREFIX}{run}:{name}" for name in passing)]
            with _reached():
                try:
                    return await self._evaluate(script, names, [run, *fields])
                except ResponseError as error:
                    if scripts.OTHER_RUN not in str(error):
                        raise
            await self._forget(run)
        raise _unavailable("it restarts again and again")

    async def send(self, *command: Word) -> Any:  # noqa: ANN401 - as above
        """What Redis answers to a command on what outlives a restart; raises as `call`."""
        with _reached():
            return await self._batches.send(command)

    async def settled(self) -> str:
        """The server's run, after its pool was looked at; raises as `call`."""
        if not self._run:
            async with self._settling:
                if not self._run:
                    with _reached():
                        self._run = await self._settle()
        return self._run

    async def close(self) -> None:
        """Let go of the connections."""
        await self.client.aclose()

    async def _forget(self, run: str) -> None:
        async with self._settling:
            if self._run == run:
                self._run = ""

    async def _settle(self) -> str:
        run = str((await self.client.info("server"))["run_id"])
        lasting = await self._lasts()
        dropped = await self._evaluate(
            scripts.SETTLE, [POOL, _POOL_RUN], [run, "1" if lasting else "0", IMAGES]
        )
        if not lasting:
            log(
                "captcha.redis_may_forget",
                level=logging.WARNING,
                found="a restart of Redis empties the pool of images",
                advice="set appendonly yes and appendfsync always to keep it",
            )
        if dropped:
            log("captcha.pool_dropped", level=logging.WARNING, images=int(dropped))
        return run

    async def _lasts(self) -> bool:
        """Whether what was written is there after a crash, for certain."""
        replication = await self.client.info("replication")
        try:
            forced = await self.client.config_get("append*")
        except ResponseError:  # services that host Redis forbid the question
            return False
        taken_over = int(replication.get("second_repl_offset", -1)) >= 0
        return (
            forced.get("appendonly") == "yes"
            and forced.get("appendfsync") == "always"
            and not taken_over
            and replication.get("role") == "master"
        )

    async def _evaluate(self, script: str, keys: Sequence[str], args: Sequence[Word]) -> Any:  # noqa: ANN401
        # With its text, a kilobyte, and not its hash: nobody has to see to it that Redis still knows it.
        return await self._batches.send(["EVAL", script, len(keys), *keys, *args])


@contextlib.contextmanager
def _reached() -> Iterator[None]:
    """Turns the library's errors into UNAVAILABLE, without their texts, which may hold arguments."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise _unavailable(type(error).__name__) from error


def connections(url: str) -> BlockingConnectionPool:
    """Connections to an address.

    Raises:
        GoodnoiseError: INVALID_INPUT, the address cannot be read.
    """
    try:
        return BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=_WAIT_SECONDS,
            socket_timeout=_SOCKET_SECONDS,
            socket_connect_timeout=_SOCKET_SECONDS,
            # Once more on a new connection, since a restart of Redis breaks those at rest. A step that was
            # done and whose answer was lost finds the token spent the second time: it fails closed.
            retry=Retry(NoBackoff(), 1),
        )
    except ValueError:
        # The address may hold a password, and the library's words repeat it.
        message = "the address of Redis cannot be read: expected redis://HOST:PORT/DB"
        raise GoodnoiseError(Code.INVALID_INPUT, message) from None


def _unavailable(reason: str) -> GoodnoiseError:
    return GoodnoiseError(
        Code.UNAVAILABLE, f"the store in Redis cannot be used: {reason}", {RETRY_AFTER: "1.000"}
    )
