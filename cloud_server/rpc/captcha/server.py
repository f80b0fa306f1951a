"""The life of a CAPTCHA service: one process with both edges on one loop, and a child that fills the pool."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from grpc_health.v1 import health, health_pb2

from cloud_server.captcha.counted import CaptchaCounts, Counted
from cloud_server.captcha.desk import CaptchaDesk
from cloud_server.captcha.filling import filling
from cloud_server.captcha.keys import Keys
from cloud_server.captcha.limiting import open_limits
from cloud_server.captcha.settings import CaptchaSettings, LimitSettings
from cloud_server.captcha.sites import SiteBook, Sites
from cloud_server.captcha.state import Store, open_store
from cloud_server.captcha.types import Captcha
from cloud_server.captcha.web.app import create_app
from cloud_server.captcha.web.settings import WebSettings
from cloud_server.logs import log
from cloud_server.rpc.captcha.admin import CaptchaAdminServicer
from cloud_server.rpc.captcha.callers import Visitors
from cloud_server.rpc.captcha.http import start_http
from cloud_server.rpc.captcha.listeners import ADMIN, SERVICE, start_admin, start_public
from cloud_server.rpc.captcha.servicer import CaptchaServicer
from cloud_server.rpc.captcha.settings import ServeSettings
from cloud_server.rpc.metrics import Metrics, MetricsPage, close_page, serve_metrics
from shared.errors import GoodnoiseError
from shared.files import write_atomically
from shared.wire import captcha as limits

if TYPE_CHECKING:
    from cloud_server.captcha.types import Speaker

__all__ = ["CaptchaServer", "Listener", "running_captcha", "serve_captcha"]

L = TypeVar("L", bound="Listener")
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Listener(Protocol):
    """One address that is served."""

    @property
    def port(self) -> int:
        """The bound port."""

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls and let those in flight end; a second time nothing."""


@dataclass(frozen=True)
class CaptchaServer:
    """A running service.

    Args:
        store: its state.
        health: what probes are told.
        metrics: its counters.
        page: for Prometheus, or None.
        listeners: by the option that names their address.
    """

    store: Store
    health: health.aio.HealthServicer
    metrics: Metrics
    page: MetricsPage | None
    listeners: Mapping[str, Listener]

    @property
    def ports(self) -> dict[str, int]:
        """The bound ports by option; of the metrics too."""
        ports = {name: listener.port for name, listener in self.listeners.items()}
        return ports if self.page is None else {**ports, "metrics": self.page.port}

    async def stop(self, *, drain_seconds: float, grace_seconds: float) -> None:
        """Say NOT_SERVING, wait for balancers to see it, refuse new calls, let those in flight end."""
        await self.health.enter_graceful_shutdown()
        log("draining", seconds=drain_seconds)
        await asyncio.sleep(drain_seconds)
        await asyncio.gather(*(listener.stop(grace_seconds) for listener in self.listeners.values()))


@asynccontextmanager
async def running_captcha(
    settings: ServeSettings, captcha: CaptchaSettings, limit: LimitSettings
) -> AsyncIterator[CaptchaServer]:
    """A service that runs for as long as the block lasts; the block ends it with `CaptchaServer.stop`.

    Args:
        settings: where it listens, and what runs beside it.
        captcha: lives, difficulty, the server's key.
        limit: limits by address, subnet and site.

    Raises:
        GoodnoiseError: UNAVAILABLE when an address is taken, INVALID_INPUT for unreadable files and settings;
            as of `open_store`.
    """
    async with AsyncExitStack() as stack:
        store = open_store(settings.state)
        stack.push_async_callback(store.close)
        await _publish(settings, store)
        counting = open_limits(settings.counters or settings.state, limit, key=captcha.key)
        stack.push_async_callback(counting.close)
        metrics, checker = Metrics(), health.aio.HealthServicer()
        desk: Captcha = CaptchaDesk(store, counting, captcha, await _speaker(settings))
        counted: Captcha = Counted(desk, CaptchaCounts(metrics.registry))
        visitors = Visitors(Sites(store), test_keys=captcha.test_keys)
        public = CaptchaServicer(counted, visitors, store.report_get)
        admin = CaptchaAdminServicer(SiteBook(store), counted, store)
        app = create_app(counted, _web(settings, captcha), report=store.report_get, registry=metrics.registry)

        page = serve_metrics(metrics, port=settings.metrics_port)
        stack.push_async_callback(close_page, page)
        listeners = {
            "http": await _kept(stack, start_http(app, settings)),
            "grpc": await _kept(stack, start_public(settings, public, metrics, checker)),
            "admin": await _kept(stack, start_admin(settings, admin, metrics, checker)),
        }
        await stack.enter_async_context(_watching(counted, checker, settings.watch_seconds))
        if settings.fill:
            await stack.enter_async_context(filling(settings.fill, environment=settings.environment))
        yield CaptchaServer(
            store, checker, metrics, page, {k: v for k, v in listeners.items() if v is not None}
        )


async def serve_captcha(settings: ServeSettings, captcha: CaptchaSettings, limit: LimitSettings) -> None:
    """Serve until SIGTERM or SIGINT, then stop cleanly.

    Raises:
        GoodnoiseError: as `running_captcha`.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running_captcha(settings, captcha, limit) as running:
        if settings.port_file is not None:
            ports = json.dumps(running.ports).encode() + b"\n"
            await asyncio.to_thread(write_atomically, settings.port_file, ports)
        log("serving", ports=running.ports, tls=settings.tls_cert is not None, test_keys=captcha.test_keys)
        await stop.wait()
        await running.stop(drain_seconds=settings.drain_seconds, grace_seconds=settings.grace_seconds)
    log("stopped")


async def _publish(settings: ServeSettings, store: Store) -> None:
    if settings.report is None:
        return
    content = await asyncio.to_thread(settings.report.read_bytes)
    await store.report_put(limits.report("--report", content))


async def _speaker(settings: ServeSettings) -> Speaker | None:
    """Speech, where it is wanted and this machine has a speech engine."""
    if not settings.speech:
        return None
    from cloud_server.captcha.audio import open_speaker

    try:
        speaker = await asyncio.to_thread(open_speaker)
    except GoodnoiseError as error:
        log("captcha.no_speech", level=logging.WARNING, reason=error.message)
        return None
    speaker.prepare()  # in the background, so that the first who asks need not wait for recordings
    return speaker


def _web(settings: ServeSettings, captcha: CaptchaSettings) -> WebSettings:
    return WebSettings(
        trusted_proxies=settings.trusted_proxies,
        token_seconds=int(captcha.token_seconds),
        page_key=Keys(captcha.key).mac("page"),  # replicas have the same one
    )


async def _kept(stack: AsyncExitStack, starting: Awaitable[L | None]) -> L | None:
    """A listener that ends with the stack, should nobody have stopped it before."""
    listener = await starting
    if listener is not None:
        stack.push_async_callback(listener.stop, 0.0)
    return listener


@asynccontextmanager
async def _watching(
    captcha: Captcha, checker: health.aio.HealthServicer, seconds: float
) -> AsyncIterator[None]:
    """Looks at the state now and then, for the pool's gauge and for probes."""
    watcher = asyncio.create_task(_watch(captcha, checker, seconds))
    try:
        yield
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher


async def _watch(captcha: Captcha, checker: health.aio.HealthServicer, seconds: float) -> None:
    reached: bool | None = None
    while True:
        before, reached = reached, await _reaches(captcha)
        if reached is not before:
            log("captcha.state", level=logging.INFO if reached else logging.ERROR, reached=reached)
            for name in ("", SERVICE, ADMIN):
                await checker.set(name, _SERVING if reached else _NOT_SERVING)
        await asyncio.sleep(seconds)


async def _reaches(captcha: Captcha) -> bool:
    try:
        await captcha.depth()
    except GoodnoiseError:
        return False
    return True
