"""The life of an augmentation service: one process that answers owners, and children that make their jobs."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from cloud_server.augment.jobs.changes import Changes
from cloud_server.augment.jobs.counts import JobCounts
from cloud_server.augment.jobs.desk import JobDesk
from cloud_server.augment.jobs.owners import OwnerBook
from cloud_server.augment.jobs.places import Places
from cloud_server.augment.jobs.roots import Roots
from cloud_server.augment.jobs.store import JobStore
from cloud_server.augment.jobs.tidying import Tidying, recover
from cloud_server.augment.jobs.workers import Workers
from cloud_server.logs import log
from cloud_server.rpc.augment.callers import Owners
from cloud_server.rpc.augment.servicer import AugmentServicer
from cloud_server.rpc.augment.settings import AugmentSettings
from cloud_server.rpc.buckets import buckets_of
from cloud_server.rpc.interceptors import interceptors
from cloud_server.rpc.listening import GrpcServer, bind, credentials
from cloud_server.rpc.metrics import Metrics, MetricsPage, close_page, serve_metrics
from cloud_server.rpc.operators import OperatorServer, start_operator_server
from shared.files import write_atomically
from shared.wire.goodnoise.v1 import augment_pb2, augment_pb2_grpc
from shared.wire.options import server_options

__all__ = ["SERVICE", "AugmentServer", "running_augment", "serve_augment"]

SERVICE = augment_pb2.DESCRIPTOR.services_by_name["AugmentService"].full_name
_NAMES = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
_SERVING = health_pb2.HealthCheckResponse.SERVING


@dataclass(frozen=True)
class AugmentServer:
    """A running service.

    Args:
        store: its state.
        owners: who may call.
        workers: who make jobs.
        tidying: what looks after them.
        health: what probes are told.
        listener: where owners call.
        operators: where operators do, or None.
        page: for Prometheus, or None.
    """

    store: JobStore
    owners: OwnerBook
    workers: Workers
    tidying: Tidying
    health: health.aio.HealthServicer
    listener: GrpcServer
    operators: OperatorServer | None
    page: MetricsPage | None

    @property
    def ports(self) -> dict[str, int]:
        """The bound ports."""
        found = {"listen": self.listener.port}
        if self.operators is not None:
            found["operators"] = self.operators.port
        return found if self.page is None else {**found, "metrics": self.page.port}

    async def stop(self, *, drain_seconds: float, grace_seconds: float) -> None:
        """Say NOT_SERVING, wait for balancers to see it, refuse new calls, let those in flight end."""
        await self.health.enter_graceful_shutdown()
        log("draining", seconds=drain_seconds)
        await asyncio.sleep(drain_seconds)
        await self.listener.stop(grace_seconds)


@asynccontextmanager
async def running_augment(settings: AugmentSettings) -> AsyncIterator[AugmentServer]:
    """A service that runs for as long as the block lasts.

    Raises:
        GoodnoiseError: UNAVAILABLE when an address is taken, INVALID_INPUT for unreadable files, PRECONDITION
            when another server works in the folder; as of `JobStore`.
    """
    async with AsyncExitStack() as stack:
        places = Places(settings.data)
        places.claim()
        stack.callback(places.release)
        store = JobStore(places.state)
        stack.push_async_callback(store.close)
        await recover(store, places)
        metrics, checker, changes = Metrics(), health.aio.HealthServicer(), Changes()
        counts, quotas = JobCounts(metrics.registry), settings.quotas
        workers = Workers(store, places, quotas, changes, counts, count=settings.workers, nice=settings.nice)
        desk = JobDesk(store, places, Roots(settings.datasets), quotas, workers, changes, counts)
        tidying = Tidying(store, places, desk, workers, quotas, counts)
        owners = OwnerBook(store)
        page = serve_metrics(metrics, port=settings.metrics_port)
        stack.push_async_callback(close_page, page)
        await stack.enter_async_context(workers.working())
        await stack.enter_async_context(tidying.running(settings.look_seconds))
        listener = await _start(settings, AugmentServicer(desk, Owners(owners)), metrics, checker)
        stack.push_async_callback(listener.stop, 0.0)
        operators = await start_operator_server(settings, checker, _NAMES)
        if operators is not None:
            stack.push_async_callback(operators.stop, 0.0)
        yield AugmentServer(store, owners, workers, tidying, checker, listener, operators, page)


async def serve_augment(settings: AugmentSettings) -> None:
    """Serve until SIGTERM or SIGINT, then stop cleanly.

    Raises:
        GoodnoiseError: as `running_augment`.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running_augment(settings) as running:
        if settings.port_file is not None:
            ports = json.dumps(running.ports).encode() + b"\n"
            await asyncio.to_thread(write_atomically, settings.port_file, ports)
        log("serving", ports=running.ports, tls=settings.tls_cert is not None)
        await stop.wait()
        await running.stop(drain_seconds=settings.drain_seconds, grace_seconds=settings.grace_seconds)
    log("stopped")


async def _start(
    settings: AugmentSettings,
    servicer: AugmentServicer,
    metrics: Metrics,
    checker: health.aio.HealthServicer,
) -> GrpcServer:
    server = grpc.aio.server(
        interceptors=interceptors(metrics, buckets_of(settings.rate_per_minute)),
        options=server_options(),
        maximum_concurrent_rpcs=settings.max_concurrent,
    )
    augment_pb2_grpc.add_AugmentServiceServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    if settings.reflection:
        reflection.enable_server_reflection(_NAMES, server)
    identity = credentials(settings.tls_cert, settings.tls_key)
    port = bind(server, "listen", settings.listen, identity)
    await server.start()
    await checker.set(SERVICE, _SERVING)
    return GrpcServer(server, port)
