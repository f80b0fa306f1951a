"""The HTTP side on the gRPC side's event loop: one uvicorn server that leaves signals to its process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from cloud_server.rpc.captcha.settings import ServeSettings, split_address
from shared.errors import Code, GoodnoiseError

__all__ = ["HttpServer", "start_http"]

_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 15
_MAX_HEADER = 16 << 10
_HEAD_SECONDS = 15.0


class HttpServer:
    """A running listener; `port` is the one that was bound."""

    def __init__(self, server: uvicorn.Server, task: asyncio.Task[None], port: int) -> None:
        self._server = server
        self._task = task
        self.port = port

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new connections and let requests in flight end."""
        self._server.config.timeout_graceful_shutdown = max(1, round(grace_seconds))
        self._server.should_exit = True
        await self._task


class _Patient(H11Protocol):
    """Lets go of who does not come to the end of a request's head: uvicorn itself would wait for ever.

    This parser alone keeps to `h11_max_incomplete_event_size`, so no other is taken where one is installed.
    """

    _looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn's."""
        super().connection_made(transport)
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn's."""
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def _look_again(self) -> None:
        self._looking = self.loop.call_later(_HEAD_SECONDS, self._look, self.cycle)

    def _look(self, before: object) -> None:
        """Whether a whole request has begun since the last look, or is being answered."""
        waits = self.cycle is None or self.cycle.response_complete
        if waits and self.cycle is before:
            self.transport.close()
        else:
            self._look_again()


class _Server(uvicorn.Server):
    """Leaves signals alone, and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: the process has handlers of its own."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's."""
        await super().startup(sockets)
        self.listening.set()


async def start_http(app: ASGIApp, settings: ServeSettings) -> HttpServer | None:
    """Serve an app, where the settings name an address.

    Raises:
        GoodnoiseError: UNAVAILABLE when the address is taken, INVALID_INPUT for unreadable certificates.
    """
    if settings.http is None:
        return None
    config = uvicorn.Config(
        app,
        http=_Patient,
        # Addresses must not be logged, and the process logs what happens by itself.
        access_log=False,
        log_config=None,
        # The app reads X-Forwarded-For itself, from trusted proxies only.
        proxy_headers=False,
        server_header=False,
        lifespan="off",
        ws="none",
        limit_concurrency=settings.max_concurrent,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        h11_max_incomplete_event_size=_MAX_HEADER,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    _load(config)
    bound = _bind(settings.http)
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[bound]))
    await server.listening.wait()
    return HttpServer(server, task, bound.getsockname()[1])


def _load(config: uvicorn.Config) -> None:
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            "--tls-cert and --tls-key cannot be used over HTTP: expected a chain and its key, PEM",
        ) from error


def _bind(address: str) -> socket.socket:
    host, port = split_address("http", address)
    try:
        family, kind, proto, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, proto)
    except OSError as error:
        raise _taken(address) from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
        bound.listen(_BACKLOG)
        bound.setblocking(False)  # noqa: FBT003 - the standard library's
    except OSError as error:
        bound.close()
        raise _taken(address) from error
    return bound


def _taken(address: str) -> GoodnoiseError:
    return GoodnoiseError(
        Code.UNAVAILABLE,
        f"cannot listen on {address}: it is taken or not of this machine; choose another with --http",
    )
