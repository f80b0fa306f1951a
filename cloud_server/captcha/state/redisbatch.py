"""Sends what waits in one go: the client spends most of its time on round trips, not Redis."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, TypeAlias

from redis.asyncio.client import Redis
from redis.exceptions import RedisError

__all__ = ["RedisBatches", "Word"]

Word: TypeAlias = bytes | str | int | float
# Enough for the round trip to cost nothing, few enough for a batch of the largest commands to stay small.
_MOST = 64
_AT_ONCE = 4


class RedisBatches:
    """Commands of one event loop, in batches. They stay steps of their own: a batch is no transaction.

    Args:
        client: what sends them.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._waiting: deque[tuple[Sequence[Word], asyncio.Future[Any]]] = deque()
        self._senders: set[asyncio.Task[None]] = set()

    async def send(self, command: Sequence[Word]) -> Any:  # noqa: ANN401 - commands answer in their own ways
        """What Redis answers to one command.

        Raises:
            redis.exceptions.RedisError: as the client has it.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future))
        if len(self._senders) < _AT_ONCE:
            sender = asyncio.create_task(self._send_all())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        return await future

    async def _send_all(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST))]
            try:
                answers = await self._answers([command for command, _ in batch])
            except BaseException:
                for _, future in batch:
                    future.cancel()
                raise
            for (_, future), answer in zip(batch, answers, strict=True):
                _settle(future, answer)

    async def _answers(self, commands: list[Sequence[Word]]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            try:
                return list(await pipeline.execute(raise_on_error=False))
            except (RedisError, OSError) as error:
                return [error] * len(commands)


def _settle(future: asyncio.Future[Any], answer: object) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
