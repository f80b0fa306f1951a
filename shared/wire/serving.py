"""What every asyncio server of the project shares: one interceptor that turns errors into statuses.

A servicer raises `GoodnoiseError`; here, and only here, it becomes a gRPC status. Other exceptions are faults
of the program: they are handed to `on_fault` and reach the peer as INTERNAL without their text.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import grpc
import grpc.aio

from shared.errors import Code, GoodnoiseError
from shared.wire.status import status_of

__all__ = ["Around", "Sent", "TranslateErrors", "WrapCalls", "wrap_handler"]

Context = grpc.aio.ServicerContext[Any, Any]
Sent = Callable[[Any], None]  # told of every message that a call sends
Around = Callable[[str, Context], AbstractAsyncContextManager[Sent | None]]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # only the stubs know it as generic


def wrap_handler(handler: Handler, method: str, around: Around) -> Handler:
    """The same handler with `around` entered for the whole of each call, whatever its kind."""
    kinds: dict[tuple[bool, bool], tuple[Any, Callable[..., Handler]]] = {
        (False, False): (handler.unary_unary, grpc.unary_unary_rpc_method_handler),
        (False, True): (handler.unary_stream, grpc.unary_stream_rpc_method_handler),
        (True, False): (handler.stream_unary, grpc.stream_unary_rpc_method_handler),
        (True, True): (handler.stream_stream, grpc.stream_stream_rpc_method_handler),
    }
    behaviour, build = kinds[handler.request_streaming, handler.response_streaming]
    wrapped = (
        _stream(behaviour, method, around)
        if inspect.isasyncgenfunction(behaviour)
        else _single(behaviour, method, around)
    )
    return build(wrapped, handler.request_deserializer, handler.response_serializer)


def _single(
    behaviour: Callable[..., Awaitable[Any]], method: str, around: Around
) -> Callable[..., Awaitable[Any]]:
    async def call(request: object, context: Context) -> object:
        async with around(method, context) as sent:
            response = await behaviour(request, context)
            if sent is not None and response is not None:
                sent(response)
            return response

    return call


def _stream(
    behaviour: Callable[..., AsyncIterator[Any]], method: str, around: Around
) -> Callable[..., AsyncIterator[Any]]:
    async def call(request: object, context: Context) -> AsyncIterator[object]:
        async with around(method, context) as sent:
            async for response in behaviour(request, context):
                yield response
                if sent is not None:
                    sent(response)

    return call


class WrapCalls(grpc.aio.ServerInterceptor):
    """Enters `around` for each call of the services below a prefix; other services pass untouched."""

    def __init__(self, around: Around, *, prefix: str = "/goodnoise.v1.") -> None:
        self._around = around
        self._prefix = prefix

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Called by gRPC for every call."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(self._prefix):
            return handler
        return wrap_handler(handler, method, self._around)


class TranslateErrors(WrapCalls):
    """Ends a call with the status of the `GoodnoiseError` that its servicer raised.

    Args:
        on_fault: told the method and the exception when a servicer fails with anything else.
    """

    def __init__(self, on_fault: Callable[[str, Exception], None], *, prefix: str = "/goodnoise.v1.") -> None:
        super().__init__(self._translate, prefix=prefix)
        self._on_fault = on_fault

    @asynccontextmanager
    async def _translate(self, method: str, context: Context) -> AsyncIterator[None]:
        try:
            yield
        except GoodnoiseError as error:
            await context.abort_with_status(status_of(error))
        except grpc.aio.AbortError:
            raise  # the servicer ended the call itself
        except Exception as error:
            if context.code() not in (None, grpc.StatusCode.OK):
                raise  # aborted too: releases differ in what abort() raises (grpc issue 36009)
            self._on_fault(method, error)
            fault = GoodnoiseError(
                Code.INTERNAL, "the server failed at this call; report it with the time of day"
            )
            await context.abort_with_status(status_of(fault))
