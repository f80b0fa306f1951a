"""What surrounds every call: it is counted and logged, and refused when late or too frequent.

The order, from the outside: measure, translate errors (`shared.wire.serving`), guard, servicer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from cloud_server.logs import log
from cloud_server.rpc.buckets import TokenBuckets, address_key
from cloud_server.rpc.metrics import Metrics
from shared.errors import Code, GoodnoiseError
from shared.wire.serving import Sent, TranslateErrors, WrapCalls
from shared.wire.status import RETRY_AFTER

__all__ = ["interceptors"]

Context = grpc.aio.ServicerContext[Any, Any]
# Less time than this is not enough for an answer to arrive.
_LEAST_SECONDS = 0.005


def interceptors(metrics: Metrics, buckets: TokenBuckets | None) -> list[grpc.aio.ServerInterceptor]:
    """The server's interceptors, outermost first.

    Args:
        metrics: counts calls.
        buckets: the rate limit by address, or None.
    """
    return [Measure(metrics), TranslateErrors(_fault), Guard(buckets)]


class Measure(WrapCalls):
    """Logs and counts each call: method, code, milliseconds, bytes sent."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__(self._measure)
        self._metrics = metrics

    @asynccontextmanager
    async def _measure(self, method: str, context: Context) -> AsyncIterator[Sent]:
        sizes: list[int] = []
        begun = time.perf_counter()
        code = "OK"
        self._metrics.in_flight.inc()
        try:
            yield lambda message: sizes.append(message.ByteSize())
        except (asyncio.CancelledError, GeneratorExit):
            code = "CANCELLED"
            raise
        except Exception:
            code = _name(context.code())
            raise
        finally:
            self._metrics.in_flight.dec()
            self._ended(method, code, time.perf_counter() - begun, sum(sizes))

    def _ended(self, method: str, code: str, seconds: float, sent_bytes: int) -> None:
        name = method.removeprefix("/goodnoise.v1.")
        self._metrics.ended(method=name, code=code, seconds=seconds, sent_bytes=sent_bytes)
        log("call", method=name, code=code, ms=round(seconds * 1000, 1), bytes=sent_bytes)


class Guard(WrapCalls):
    """Refuses a call whose deadline is over, or that comes too soon after the others of its address."""

    def __init__(self, buckets: TokenBuckets | None) -> None:
        super().__init__(self._guard)
        self._buckets = buckets

    @asynccontextmanager
    async def _guard(self, method: str, context: Context) -> AsyncIterator[None]:
        remaining = context.time_remaining()
        if remaining is not None and remaining < _LEAST_SECONDS:
            raise GoodnoiseError(Code.DEADLINE, f"no time is left for {method}; allow more")
        # The address lives in this bucket alone: it is not logged, counted or passed on.
        wait = self._buckets.take(address_key(context.peer())) if self._buckets is not None else 0.0
        if wait > 0.0:
            raise GoodnoiseError(
                Code.EXHAUSTED,
                f"too many calls from this address; wait {wait:.1f} s",
                {RETRY_AFTER: f"{wait:.3f}"},
            )
        yield


def _name(code: grpc.StatusCode | None) -> str:
    return (code or grpc.StatusCode.UNKNOWN).name


def _fault(method: str, error: Exception) -> None:
    log("fault", level=logging.ERROR, error=error, method=method.removeprefix("/goodnoise.v1."))
