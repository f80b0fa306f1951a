"""The server's life: build, listen, serve until a signal, say NOT_SERVING, let calls end, stop."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from cloud_server.bundles.store import PublishedBundles
from cloud_server.hints.cluster_hints import load_cluster_hints
from cloud_server.hints.desk import Desk
from cloud_server.logs import log
from cloud_server.rpc.buckets import buckets_of
from cloud_server.rpc.interceptors import interceptors
from cloud_server.rpc.listening import bind, credentials
from cloud_server.rpc.metrics import Metrics, MetricsPage, serve_metrics
from cloud_server.rpc.operators import OperatorServer, start_operator_server
from cloud_server.rpc.servicers import BundleServicer, HintServicer
from cloud_server.settings import Settings
from shared.files import write_atomically
from shared.wire.goodnoise.v1 import bundle_pb2, bundle_pb2_grpc, hint_pb2, hint_pb2_grpc
from shared.wire.options import server_options

if TYPE_CHECKING:
    from cloud_server.hints.directions import Directions

__all__ = ["SERVICES", "CloudServer", "serve", "start_server"]

SERVICES = (
    bundle_pb2.DESCRIPTOR.services_by_name["BundleService"].full_name,
    hint_pb2.DESCRIPTOR.services_by_name["HintService"].full_name,
)
_NAMES = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)


@dataclass(frozen=True)
class CloudServer:
    """A running server; `port` is the one that was bound."""

    server: grpc.aio.Server
    health: health.aio.HealthServicer
    metrics: Metrics
    page: MetricsPage | None
    desk: Desk
    port: int
    operators: OperatorServer | None = None

    async def stop(self, *, drain_seconds: float, grace_seconds: float) -> None:
        """Say NOT_SERVING, wait for balancers to see it, refuse new calls, let those in flight end, stop."""
        await self.health.enter_graceful_shutdown()
        log("draining", seconds=drain_seconds)
        await asyncio.sleep(drain_seconds)
        await self.server.stop(grace_seconds)
        if self.operators is not None:
            await self.operators.stop(grace_seconds)
        await asyncio.to_thread(self.desk.close)
        if self.page is not None:
            await asyncio.to_thread(self.page.close)
        log("stopped")


async def start_server(settings: Settings) -> CloudServer:
    """Start serving on the address of the settings; must run on the event loop that stops it.

    Raises:
        GoodnoiseError: UNAVAILABLE when an address is taken, INVALID_INPUT for unreadable certificates,
            and as of `load_directions` and `load_cluster_hints`.
    """
    clusters = await asyncio.to_thread(load_cluster_hints, settings.cluster_hints)
    directions = await asyncio.to_thread(_directions, settings)
    bundles = PublishedBundles(settings.bundles)
    desk = Desk(waiting=settings.waiting)
    metrics = Metrics()
    server = grpc.aio.server(
        interceptors=interceptors(metrics, buckets_of(settings.rate_per_minute)),
        options=server_options(),
        maximum_concurrent_rpcs=settings.max_concurrent,
    )
    bundle_pb2_grpc.add_BundleServiceServicer_to_server(BundleServicer(bundles), server)
    hint_pb2_grpc.add_HintServiceServicer_to_server(HintServicer(bundles, clusters, directions, desk), server)
    checker = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    if settings.reflection:
        reflection.enable_server_reflection(_NAMES, server)
    port = bind(server, "listen", settings.listen, credentials(settings.tls_cert, settings.tls_key))
    page = serve_metrics(metrics, port=settings.metrics_port)
    await server.start()
    for service in SERVICES:
        await checker.set(service, health_pb2.HealthCheckResponse.SERVING)
    operators = await start_operator_server(settings, checker, _NAMES)
    return CloudServer(server, checker, metrics, page, desk, port, operators)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then stop cleanly.

    Raises:
        GoodnoiseError: as `start_server`.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running = await start_server(settings)
    if settings.port_file is not None:
        await asyncio.to_thread(write_atomically, settings.port_file, f"{running.port}\n".encode())
    metrics_port = running.page.port if running.page else None
    log("serving", port=running.port, tls=settings.tls_cert is not None, metrics_port=metrics_port)
    await stop.wait()
    await running.stop(drain_seconds=settings.drain_seconds, grace_seconds=settings.grace_seconds)


def _directions(settings: Settings) -> Directions | None:
    """The ensemble, if the settings name one; onnx and the networks are loaded only then."""
    if not settings.runs_ensemble:
        return None
    from cloud_server.hints.public_faces import load_directions

    return load_directions(ensemble=settings.ensemble, faces=settings.public_faces, models=settings.models)
